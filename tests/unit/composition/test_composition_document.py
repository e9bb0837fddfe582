"""Documents are read and changed without losing anything, and made from lessons always in the same way."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from composer_mcp.composition import html
from composer_mcp.composition.changes import changed, is_applied
from composer_mcp.composition.compose import compose, is_made_from
from composer_mcp.composition.document import Document, InvalidDocument, version_of
from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.errors import ComposerError

#: The first example is slow on a busy machine, and says nothing about our code.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEED, OTHER = UUID(int=1), UUID(int=2)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(NAMES, JSON, max_size=5)
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
def test_reading_and_writing_loses_nothing(raw: dict[str, Any]) -> None:
    assert Document.from_json(raw).to_json() == raw


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
    ],
)
def test_every_element_becomes_a_widget_that_is_read_back_as_itself(element: dict[str, Any]) -> None:
    made = compose(lesson(element), SEED)
    again = Document.from_json(json.loads(json.dumps(made.to_json())))
    assert type(again.structure[1]) is type(made.structure[1])
    assert again.to_json() == made.to_json()


@pytest.mark.parametrize(
    ("given_html", "kept"),
    [
        ("<p>a <strong>b</strong></p>", "<p>a <strong>b</strong></p>"),
        ("nur Text", "<p>nur Text</p>"),
        ("<script>x()</script><p>a</p>", "<p>a</p>"),
        ('<p onclick="x()" style="color:red">a</p>', "<p>a</p>"),
        ('<p><a href="javascript:x()">a</a></p>', '<p><a rel="noopener noreferrer">a</a></p>'),
        ('<img src=x onerror="x()"><p>a</p>', "<p>a</p>"),
        ("<iframe src='https://x.example'></iframe>", "<p></p>"),
        ("<table><tr><td colspan=2>a</td></tr></table>", "<td colspan="),
    ],
)
def test_html_is_reduced_to_what_is_harmless(given_html: str, kept: str) -> None:
    content = compose(lesson({"type": "text", "html": given_html})).to_json()["structure"][1]["content"]
    assert kept in content
    assert "x()" not in content and "iframe" not in content


@patient
@given(st.text(min_size=1, max_size=200).map(lambda text: text.replace("\x00", "")))
def test_no_html_ever_carries_a_script(text: str) -> None:
    content = html.sanitize(f"<p>{text}</p><svg onload=alert(1)><script>{text}</script>")
    assert "<script" not in content.lower() and "<svg" not in content.lower()


@pytest.mark.parametrize(
    ("fragment", "words"),
    [
        ("<p></p><p>a  <b>b</b>\nc</p><p>d</p>", "a b c"),
        ("<ul><li>um &lt; dois</li><li>x</li></ul>", "um < dois"),
        ("sem marca", "sem marca"),
        ("<p> </p>", ""),
    ],
)
def test_the_first_words_are_those_that_can_be_read(fragment: str, words: str) -> None:
    assert html.first_words(fragment) == words


def test_the_same_seed_gives_the_same_document_and_another_seed_is_told_apart() -> None:
    one, again, other = (compose(lesson(TEXT, QUIZ), seed) for seed in (SEED, SEED, OTHER))
    assert one.to_json() == again.to_json()
    assert is_made_from(one, SEED) and not is_made_from(one, OTHER) and not is_made_from(other, SEED)


def apply(*steps: dict[str, Any], **fields: Any) -> tuple[Document, Document, CompositionChange]:
    base = compose(lesson(TEXT, QUIZ), SEED)
    change = CompositionChange.model_validate({"widgets": list(steps), **fields})
    return base, changed(base, change, OTHER), change


def test_widgets_are_added_replaced_moved_and_removed() -> None:
    base = compose(lesson(TEXT, QUIZ), SEED)
    head, text, quiz = base.widget_ids
    base, result, _ = apply(
        {"action": "add", "element": TEXT, "position": 0},
        {"action": "replace", "widget_id": text, "element": {"type": "text", "text": "Novo"}},
        {"action": "move", "widget_id": quiz, "position": 1},
        {"action": "remove", "widget_id": head},
    )
    assert result.widget_ids[1:] == [quiz, text]
    assert result.to_json()["structure"][2]["content"] == "<p>Novo</p>"
    assert base.widget_ids == [head, text, quiz], "the original is left alone"


def test_a_widget_that_is_not_there_is_named() -> None:
    with pytest.raises(ComposerError) as raised:
        apply({"action": "remove", "widget_id": "nowhere"})
    assert "nowhere" in raised.value.sentence


def test_an_author_needs_a_heading() -> None:
    _, result, _ = apply(author="Bia")
    assert result.to_json()["structure"][0]["author_name"] == "<p>Bia</p>"
    head = result.widget_ids[0]
    with pytest.raises(ComposerError) as raised:
        apply({"action": "remove", "widget_id": head}, author="Bia")
    assert raised.value.code.code == "no_heading"


@pytest.mark.parametrize("kind", ["add", "remove", "replace", "move", "title", "all"])
def test_a_change_that_was_made_is_recognized(kind: str) -> None:
    head, text, quiz = compose(lesson(TEXT, QUIZ), SEED).widget_ids
    steps: dict[str, dict[str, Any]] = {
        "add": {"action": "add", "element": TEXT},
        "remove": {"action": "remove", "widget_id": quiz},
        "replace": {"action": "replace", "widget_id": text, "element": QUIZ},
        "move": {"action": "move", "widget_id": text, "position": 0},
    }
    chosen = list(steps.values()) if kind == "all" else [steps[kind]] if kind in steps else []
    base, result, change = apply(*chosen, title="Outro")
    assert not is_applied(base, change, OTHER)
    assert is_applied(result, change, OTHER)
    assert head in result.widget_ids
