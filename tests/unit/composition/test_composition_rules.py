"""Each rule of a lesson, broken once: the place, the words, and a nearest form that is valid there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from composer_mcp.composition.problems import check_lesson
from tests.unit.composition.repairing import QUESTION, E, broken, problems, put

#: Where, what stands there, words of the problem, the nearest form (``...``: the field is to go).
RULES: list[tuple[str, Any, str, Any]] = [
    (".title", ..., "is required", "Título"),
    (".title", 7, "must be a text", "7"),
    (".title", "", "must not be empty", "Título"),
    (".title", "uma\nduas", "single line", "uma duas"),
    (".title", "a\x00b", "control character U+0000", "ab"),
    (".title", "a\ud800b", "characters that cannot be sent", "ab"),
    (".title", None, "must be a text", "Título"),
    (".title", ["um", "dois"], "must be a text; must be a single line", "um dois"),
    (".title", "palavra " * 50, "has 400 characters, the limit is 300: shorten it", None),
    (".description", None, "must be a text, or be left out", ...),
    (".author", True, "must be a text, or be left out", ...),
    (".author", " ", "must not be empty: leave it out", ...),
    (".subject", "Ciências", "must be one of science, math", "science"),
    (".subject", "biologia", "must be one of science, math", "science"),
    (".subject", "astrologia", "or be left out", ...),
    (".grade", 7, "must be a text", "7º ano"),
    (".duration_minutes", "50 min", "must be a whole number", 50),
    (".duration_minutes", 49.5, "must be a whole number", 50),
    (".duration_minutes", 0, "must be from 1 to 600", 1),
    (".duration_minutes", 9999, "must be from 1 to 600", 600),
    (".duration_minutes", True, "must be a whole number", ...),
    (".language", "pt-BR", "must be a code such as pt_br", "pt_br"),
    (".language", "português", "must be a code such as pt_br", "pt_br"),
    (".tags", "a, b", "must be a list", ["a", "b"]),
    (".tags", ["a", "A"], "each tag may appear once", ["a"]),
    (".tags", [str(n) for n in range(21)], "has 21 entries, the limit is 20: divide it", None),
    (".tags[0]", 7, "must be a text", "7"),
    (".elements", ..., "is required", [{"type": "text", "text": "Texto da aula"}]),
    (".elements", [], "has no entries, needs at least 1", None),
    (".elements", {"type": "text", "text": "a"}, "must be a list", [{"type": "text", "text": "a"}]),
    (f"{E}[0]", "Uma frase.", "must be an object with a `type`", {"type": "text", "text": "Uma frase."}),
    (f"{E}[0]", None, "must be an object with a `type`", {"type": "text"}),
    (f"{E}[0].type", "head-1", "is called heading here; head-1 is Composer's own name for it", "heading"),
    (f"{E}[1].type", "text-1", "is called text here; text-1 is Composer's own name", "text"),
    (f"{E}[2].type", "quiz-1", "is called quiz here", "quiz"),
    (f"{E}[2].type", "multipleChoice", "is called quiz here", "quiz"),
    (f"{E}[2].type", ..., "must be one of heading, text, quiz", "quiz"),
    (f"{E}[6].type", 7, "must be one of heading, text, quiz", "flashcards"),
    (f"{E}[3].type", "imagem", "is called image here", "image"),
    (f"{E}[5].type", "lsit", "is called list here", "list"),
    (f"{E}[0].primary_color", "red", "must be a colour such as #00643E", "#C62828"),
    (f"{E}[0].primary_color", "#0a5", "must be a colour such as #00643E", "#00aa55"),
    (f"{E}[0].primary_color", "xyz", "must be a colour", ...),
    (f"{E}[1].text", ..., "the passage is empty: give exactly one of `text`", "Texto 2"),
    (f"{E}[1].text", "a" * 20_001, "has 20001 characters, the limit is 20000: divide it", None),
    (f"{E}[2].questions", "É?", "must be a list", None),
    (f"{E}[2].questions", [], "has no entries, needs at least 1", None),
    (f"{QUESTION}.question", ..., "is required", "Pergunta? 1"),
    (f"{QUESTION}.choices", ..., "is required", None),
    (f"{QUESTION}.choices", [{"text": "a", "correct": True}], "has 1 entries, needs at least 2", None),
    (f"{QUESTION}.choices", [{"text": "a", "correct": True}] * 2, "two choices have the same text", None),
    (f"{QUESTION}.choices[1]", "talvez", "must be an object", {"text": "talvez"}),
    (f"{QUESTION}.choices[0].correct", False, "no choice is right: mark at least one choice", True),
    (f"{QUESTION}.choices[0].correct", ..., "no choice is right: mark at least one choice", True),
    (f"{QUESTION}.choices[0].correct", "sim", "must be true or false", True),
    (f"{QUESTION}.choices[0].correct", 1, "must be true or false", True),
    (f"{E}[3].url", "http://x.example/a.png", "complete https:// address", "https://x.example/a.png"),
    (f"{E}[3].url", "x.example/a.png", "complete https:// address", "https://x.example/a.png"),
    (f"{E}[3].url", "https://u:p@x.example/a", "without user name", "https://x.example/a"),
    (f"{E}[3].url", "https://[x", "complete https:// address", "https://example.org/recurso"),
    (f"{E}[3].url", "javascript:alert(1)", "complete https:// address", "https://example.org/recurso"),
    (f"{E}[3].url", "data:image/png;base64,xx", "complete https:// address", "https://example.org/recurso"),
    (f"{E}[3].description", ..., "is required", "O que a imagem mostra 4"),
    (f"{E}[5].style", "ordered", "must be one of bullet, numbered, checkbox", "numbered"),
    (f"{E}[5].items", "um\ndois", "must be a list", ["um", "dois"]),
    (f"{E}[5].items[0]", {"text": "um"}, "must be a text", "um"),
    (f"{E}[5].items[1]", 2.5, "must be a text", "2.5"),
    (f"{E}[6].cards[0]", ["a", "b"], "must be an object", {"front": "a", "back": "b"}),
    (f"{E}[6].cards[0].back", ..., "is required", "Resposta 1"),
    (f"{E}[7].slides[0].url", ..., "is required", "https://example.org/recurso"),
    (f"{E}[8].points[0].x", "10%", "must be a number", 10),
    (f"{E}[8].points[0].x", 120, "must be from 0 to 100", 100),
    (f"{E}[8].points[0].y", float("nan"), "must be a number", 50),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "words", "nearest"), RULES)
def test_a_broken_rule_is_told_with_its_place_and_the_nearest_valid_form(
    path: str, value: Any, words: str, nearest: Any
) -> None:
    raw = broken(path, value)
    (found,) = [problem for problem in problems(raw) if problem["path"] == f"lesson{path}"]
    assert words in found["problem"]
    if nearest is ...:
        assert "nearest" not in found
    elif nearest is not None and nearest != {"type": "text"}:
        assert json.loads(found["nearest"]) == nearest
    if "divide it" not in words:
        for problem in problems(raw):
            raw = put(raw, problem)
        check_lesson(raw)
