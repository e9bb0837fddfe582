"""A lesson that breaks a rule is refused with words that say how to mend it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from composer_mcp.composition.lesson import MAX_ELEMENTS, CompositionChange, Lesson

TEXT = {"type": "text", "text": "Uma frase."}
CHOICES = [{"text": "sim", "correct": True}, {"text": "não"}]


def quiz(**question: Any) -> dict[str, Any]:
    return {"type": "quiz", "questions": [{"question": "É?", "choices": CHOICES} | question]}


def complaint(element: dict[str, Any], **lesson: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        Lesson.model_validate({"title": "Aula", "elements": [element]} | lesson)
    return str(raised.value)


@pytest.mark.parametrize(
    ("element", "words"),
    [
        ({"type": "poem", "text": "x"}, "does not match any of the expected tags: 'heading', 'text', 'quiz'"),
        ({"type": "text"}, "exactly one of `text` (plain) and `html`"),
        ({"type": "text", "text": "a", "html": "<p>a</p>"}, "exactly one of"),
        ({"type": "text", "text": "a\x00b"}, "remove the control character U+0000"),
        ({"type": "text", "text": "a", "colour": "red"}, "Extra inputs are not permitted"),
        (quiz(choices=[{"text": "só uma", "correct": True}]), "at least 2 items"),
        (quiz(choices=[{"text": "a"}, {"text": "b"}]), "mark at least one choice with `correct: true`"),
        (quiz(choices=[{"text": "A", "correct": True}, {"text": "a"}]), "two choices have the same text"),
        (quiz(choices=[{"text": "a", "correct": "yes"}, {"text": "b"}]), "valid boolean"),
        ({"type": "image", "url": "http://x.example/a.png", "description": "x"}, "complete https:// address"),
        ({"type": "image", "url": "https://u:p@x.example/a", "description": "x"}, "without user name"),
        ({"type": "image", "url": "https://[x", "description": "x"}, "complete https:// address"),
        ({"type": "heading", "title": "uma\nduas"}, "must be a single line"),
        ({"type": "heading", "title": "   "}, "at least 1 character"),
    ],
)
def test_a_broken_element_is_explained(element: dict[str, Any], words: str) -> None:
    assert words in complaint(element)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("title", 7, "valid string"),
        ("subject", "astrology", "'science', 'math'"),
        ("language", "português", "should match pattern"),
        ("tags", ["a", "A"], "each tag may appear once"),
        ("duration_minutes", 0, "greater than or equal to 1"),
        ("elements", [], "at least 1 item"),
        ("elements", [TEXT] * (MAX_ELEMENTS + 1), "at most 100 items"),
        ("elements", [{"type": "text", "text": "a" * 20_000}] * 21, "make two compositions of it"),
    ],
)
def test_a_broken_lesson_is_explained(field: str, value: Any, words: str) -> None:
    assert words in complaint(TEXT, **{field: value})


def test_all_broken_rules_are_listed_at_once_with_their_place() -> None:
    with pytest.raises(ValidationError) as raised:
        Lesson.model_validate({"title": "", "elements": [TEXT, {"type": "text"}]})
    assert [error["loc"] for error in raised.value.errors()] == [("title",), ("elements", 1, "text")]


def test_surrounding_space_does_not_count() -> None:
    assert Lesson.model_validate({"title": "  Aula ", "elements": [TEXT]}).title == "Aula"


def test_a_change_must_change_something() -> None:
    with pytest.raises(ValidationError, match="at least one of title, description, author, tags, widgets"):
        CompositionChange.model_validate({})
    assert CompositionChange.model_validate({"description": ""}).description == ""
