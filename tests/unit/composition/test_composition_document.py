"""Documents are read and changed without losing anything, and made from lessons always in the same way."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composer_mcp.composition import widgets
from composer_mcp.composition.changes import changed
from composer_mcp.composition.compose import compose, is_made_from
from composer_mcp.composition.document import Document, InvalidDocument, version_of
from composer_mcp.composition.lesson import CompositionChange, Lesson
from tests.unit.composition.strategies import FIELDS, JSON, LESSONS, patient

SEED, OTHER = UUID(int=1), UUID(int=2)
TYPES = st.sampled_from(["head-1", "text-1", "quiz-1", "image-1", "list-1", "hotspots-1", "new-9"])


@st.composite
def raw_widgets(draw: st.DrawFn) -> Any:
    """A widget as Composer might send it: right, nearly right, or nothing we know."""
    if draw(st.booleans()):
        return draw(JSON)
    widget = draw(FIELDS) | {"type": draw(TYPES)}
    complete = {"id": "w", "content": "<p>x</p>", "content_title": None, "background_image": None}
    for name, value in (complete | {"avatar": None, "questions": []}).items():
        if draw(st.booleans()):
            widget[name] = value
    return widget


@st.composite
def raw_documents(draw: st.DrawFn) -> dict[str, Any]:
    """A document with whatever a newer Composer may add."""
    return draw(FIELDS) | {
        "version": "1.1",
        "metadata": draw(FIELDS.filter(lambda fields: not {"title", "description"} & fields.keys())),
        "interface": draw(FIELDS),
        "structure": draw(st.lists(raw_widgets(), max_size=4)),
        **draw(st.sampled_from([{}, {"assets": []}, {"assets": [{"id": 1}]}])),
    }


@patient
@given(raw_documents())
def test_reading_and_writing_loses_nothing_not_even_the_order_of_fields(raw: dict[str, Any]) -> None:
    assert json.dumps(Document.from_json(raw).to_json()) == json.dumps(raw)


@patient
@given(raw_documents())
def test_what_comes_over_the_wire_goes_back_the_same(raw: dict[str, Any]) -> None:
    wire = json.dumps(raw).encode()
    assert json.dumps(Document.from_bytes(wire).to_json()).encode() == wire


def test_a_document_is_not_changed_through_what_was_read_or_what_is_written() -> None:
    raw = MINIMAL | {"structure": [{"id": "a", "n": [1]}]}
    document = Document.from_json(raw)
    raw["structure"][0]["n"].append(2)
    document.to_json()["structure"].clear()
    assert document.to_json()["structure"] == [{"id": "a", "n": [1]}]


UNUSUAL = (
    b'{"version":"1.1","metadata":{"title":"\\ud83d","title ":1,"Title":1.0},"interface":{"n":1e2,"N":-0.0},'
    b'"structure":[{"type":"text-1","content":"<P>x","padding_top":123456789012345678901234567890},null,[]]}'
)


def test_unusual_json_survives() -> None:
    document = Document.from_bytes(b"\xef\xbb\xbf" + UNUSUAL)
    assert json.dumps(document.to_json()) == json.dumps(json.loads(UNUSUAL))
    assert [type(widget) for widget in document.structure] == [widgets.Unknown] * 3


@patient
@given(raw_documents())
def test_a_change_of_the_title_touches_nothing_else(raw: dict[str, Any]) -> None:
    result = changed(Document.from_json(raw), CompositionChange(title="Nova"), SEED).to_json()
    assert result["metadata"].pop("title") == "Nova"
    raw["metadata"].pop("title", None)
    assert result == raw


@patient
@given(raw_documents())
def test_the_version_does_not_depend_on_the_order_of_fields(raw: dict[str, Any]) -> None:
    backwards = json.loads(json.dumps(raw), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert version_of(Document.from_json(raw)) == version_of(Document.from_json(backwards))


def test_the_version_is_that_of_the_numbers_not_of_their_notation() -> None:
    one, same, other = (
        Document.from_json(MINIMAL | {"structure": [{"type": "x", "n": number}]}) for number in (1, 1.0, 1.5)
    )
    assert version_of(one) == version_of(same) != version_of(other)


MINIMAL: dict[str, Any] = {"version": "1.1", "metadata": {}, "interface": {}, "structure": []}


@pytest.mark.parametrize("missing", MINIMAL)
def test_a_document_without_a_required_part_is_refused_by_name(missing: str) -> None:
    with pytest.raises(InvalidDocument, match=missing):
        Document.from_json({name: value for name, value in MINIMAL.items() if name != missing})


@pytest.mark.parametrize(
    "raw", [None, [], "x", MINIMAL | {"structure": {}}, MINIMAL | {"metadata": {"title": 1}}]
)
def test_what_is_no_document_is_refused(raw: Any) -> None:
    with pytest.raises(InvalidDocument):
        Document.from_json(raw)


@patient
@given(JSON)
def test_no_json_crashes_the_reader(raw: Any) -> None:
    with pytest.raises(InvalidDocument):
        Document.from_json(raw)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not JSON"),
        (UNUSUAL[:-5], "not JSON"),
        (UNUSUAL.replace(b"<P>", b"\xff"), "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (UNUSUAL.replace(b"1e2", b"NaN"), "NaN is no number"),
        (UNUSUAL.replace(b"1e2", b"1e999"), "too large"),
        (UNUSUAL.replace(b"1e2", b"9" * 5000), "not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (UNUSUAL.replace(b"[]", b"[" * 250 + b"]" * 250), "nested more than 200 levels"),
    ],
)
def test_bytes_that_are_no_document_are_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(InvalidDocument, match=words):
        Document.from_bytes(data)


def test_a_document_is_shown_without_what_no_database_takes_and_written_back_with_it() -> None:
    raw = MINIMAL | {
        "metadata": {"title": "a\x00b\ud83d", "description": "\udc00", "tags": ["\x00", 7]},
        "structure": [{"id": "w", "type": "text-1", "content": "<p>\ud83d</p>", "\x00": 1}],
    }
    document = Document.from_json(raw)
    assert (document.title, document.description, document.tags) == ("a\ufffdb\ufffd", "\ufffd", ["\ufffd"])
    assert document.shown()["structure"][0] == {
        "id": "w", "type": "text-1", "content": "<p>\ufffd</p>", "\ufffd": 1
    }  # fmt: skip
    json.dumps(document.shown(), ensure_ascii=False).encode()
    assert document.to_json() == raw


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_cannot_write_is_refused(number: float) -> None:
    with pytest.raises(InvalidDocument, match="JSON cannot write"):
        Document.from_json(MINIMAL | {"assets": [{"n": number}]})


def test_a_document_with_ten_thousand_widgets_is_read() -> None:
    raw = MINIMAL | {
        "structure": [{"id": str(n), "type": "text-1", "content": "<p>x</p>"} for n in range(10_000)]
    }
    document = Document.from_json(raw)
    assert len(document.structure) == 10_000 and document.to_json() == raw


def lesson(*elements: dict[str, Any], **fields: Any) -> Lesson:
    return Lesson.model_validate({"title": "A célula", "elements": list(elements), **fields})


TEXT = {"type": "text", "text": "Um < dois\nlinha\n\nOutro & mais"}
QUIZ = {
    "type": "quiz",
    "questions": [{"question": "É?", "choices": [{"text": "sim", "correct": True}, {"text": "não"}]}],
}


def test_a_lesson_gets_a_heading_made_of_what_is_known() -> None:
    made = compose(lesson(TEXT, subject="science", grade="7º ano", author="Ana <b>"), SEED).to_json()
    head = made["structure"][0]
    assert head["type"] == "head-1" and head["content_title"] == "A célula"
    assert head["category"] == "<p>Ciências · 7º ano</p>"
    assert head["author_name"] == "<p>Ana &lt;b&gt;</p>" and head["show_author_name"] is True


def test_a_lesson_with_its_own_heading_gets_no_second_one() -> None:
    made = compose(lesson({"type": "heading", "title": "Minha"}, TEXT))
    assert [widget.type for widget in made.structure] == ["head-1", "text-1"]


def test_widgets_have_all_fields_of_captured_documents() -> None:
    head, text, quiz = compose(lesson(TEXT, QUIZ), SEED).to_json()["structure"]
    assert set(head) == {
        "id", "type", "content_title", "primary_color", "secondary_color", "category", "background_image",
        "avatar", "avatar_border_color", "author_name", "author_office", "show_category", "show_author_name",
        "show_divider",
    }  # fmt: skip
    assert set(text) == {
        "id", "type", "content_title", "background_color", "padding_top", "padding_bottom", "content"
    }  # fmt: skip
    assert text["content"] == "<p>Um &lt; dois<br>linha</p><p>Outro &amp; mais</p>"
    (question,) = quiz["questions"]
    assert question["question"] == "<p>É?</p>"
    assert [choice["correct"] for choice in question["choices"]] == [True, False]
    ids = [head["id"], text["id"], quiz["id"], question["id"], *(c["id"] for c in question["choices"])]
    assert len({UUID(each) for each in ids}) == 6


@pytest.mark.parametrize(
    "element",
    [
        {"type": "image", "url": "https://x.example/a.png", "description": "uma folha", "caption": "Folha"},
        {"type": "video", "url": "https://x.example/v"},
        {"type": "list", "items": ["um", "dois"], "style": "numbered"},
        {"type": "flashcards", "cards": [{"front": "a", "back": "b"}]},
        {"type": "gallery", "slides": [{"url": "https://x.example/a.png", "description": "uma folha"}]},
        {
            "type": "hotspots",
            "url": "https://x.example/a.png",
            "description": "uma folha",
            "points": [{"x": 50, "y": 12.5, "title": "Nervura"}],
        },
    ],
)
def test_every_element_becomes_a_widget_that_is_read_back_as_itself(element: dict[str, Any]) -> None:
    made = compose(lesson(element), SEED)
    again = Document.from_json(json.loads(json.dumps(made.to_json())))
    assert type(again.structure[1]) is type(made.structure[1])
    assert again.to_json() == made.to_json()


def test_the_same_seed_gives_the_same_document_and_another_seed_is_told_apart() -> None:
    one, again, other = (compose(lesson(TEXT, QUIZ), seed) for seed in (SEED, SEED, OTHER))
    assert one.to_json() == again.to_json()
    assert is_made_from(one, SEED) and not is_made_from(one, OTHER) and not is_made_from(other, SEED)


@patient
@given(LESSONS)
def test_every_valid_lesson_becomes_a_document_of_known_widgets(raw: dict[str, Any]) -> None:
    valid = Lesson.model_validate(raw)
    made = compose(valid, SEED)
    wire = json.dumps(made.to_json()).encode()
    again = Document.from_bytes(wire)
    assert again.to_json() == made.to_json()
    assert not any(isinstance(widget, widgets.Unknown) for widget in again.structure)
    assert len(set(again.widget_ids)) == len(again.structure) >= len(valid.elements)
    assert is_made_from(again, SEED)
    assert version_of(again) == version_of(compose(valid, SEED)) != version_of(compose(valid, OTHER))


def test_a_quiz_without_feedback_is_as_captured_ones_are() -> None:
    question = QUIZ["questions"][0]
    choices = [question["choices"][0] | {"feedback": "Isso!"}, question["choices"][1]]
    with_feedback = question | {"choices": choices, "feedback": "Porque sim."}
    _, plain, rich = compose(lesson(QUIZ, {"type": "quiz", "questions": [with_feedback]}), SEED).to_json()[
        "structure"
    ]
    assert "feedback" not in json.dumps(plain)
    assert rich["questions"][0]["feedback"] == "<p>Porque sim.</p>"
    assert [choice.get("feedback") for choice in rich["questions"][0]["choices"]] == ["<p>Isso!</p>", None]
