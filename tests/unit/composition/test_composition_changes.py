"""A change does what it says, no more, and making it twice is the same as making it once."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from composer_mcp.composition.changes import MAX_WIDGETS, changed, is_applied
from composer_mcp.composition.compose import compose
from composer_mcp.composition.document import Document, version_of
from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.errors import ComposerError
from tests.unit.composition.strategies import CHANGES, JSON, patient

SEED, OTHER = UUID(int=1), UUID(int=2)
TEXT = {"type": "text", "text": "Um < dois\nlinha\n\nOutro & mais"}
QUIZ = {
    "type": "quiz",
    "questions": [{"question": "É?", "choices": [{"text": "sim", "correct": True}, {"text": "não"}]}],
}


def base(*elements: dict[str, Any]) -> Document:
    return compose(
        Lesson.model_validate({"title": "A célula", "elements": list(elements) or [TEXT, QUIZ]}), SEED
    )


def apply(*steps: dict[str, Any], **fields: Any) -> tuple[Document, Document, CompositionChange]:
    change = CompositionChange.model_validate({"widgets": list(steps), **fields})
    return base(), changed(base(), change, OTHER), change


def test_widgets_are_added_replaced_moved_and_removed() -> None:
    head, text, quiz = base().widget_ids
    before, result, _ = apply(
        {"action": "add", "element": TEXT, "position": 0},
        {"action": "replace", "widget_id": text, "element": {"type": "text", "text": "Novo"}},
        {"action": "move", "widget_id": quiz, "position": 1},
        {"action": "remove", "widget_id": head},
    )
    assert result.widget_ids[1:] == [quiz, text]
    assert result.to_json()["structure"][2]["content"] == "<p>Novo</p>"
    assert before.widget_ids == [head, text, quiz], "the original is left alone"


def test_widgets_are_put_in_order_and_those_not_named_follow() -> None:
    head, text, quiz = base().widget_ids
    _, result, change = apply({"action": "order", "widget_ids": [quiz, head]})
    assert result.widget_ids == [quiz, head, text]
    assert is_applied(result, change, OTHER)
    with pytest.raises(ValidationError, match="named once"):
        apply({"action": "order", "widget_ids": [quiz, quiz]})


@pytest.mark.parametrize("action", ["remove", "replace", "move", "order"])
def test_a_widget_that_is_not_there_is_named(action: str) -> None:
    step: dict[str, Any] = {"action": action, "widget_id": "nowhere"}
    if action == "replace":
        step["element"] = TEXT
    elif action == "move":
        step["position"] = 0
    elif action == "order":
        step = {"action": action, "widget_ids": ["nowhere"]}
    with pytest.raises(ComposerError) as raised:
        apply(step)
    assert raised.value.code.code == "widget_not_found" and "nowhere" in raised.value.sentence


def test_an_author_needs_a_heading() -> None:
    _, result, _ = apply(author="Bia")
    head = result.to_json()["structure"][0]
    assert head["author_name"] == "<p>Bia</p>" and head["show_author_name"] is True
    with pytest.raises(ComposerError) as raised:
        apply({"action": "remove", "widget_id": result.widget_ids[0]}, author="Bia")
    assert raised.value.code.code == "no_heading"


@pytest.mark.parametrize("kind", ["add", "remove", "replace", "move", "order", "title", "all"])
def test_a_change_that_was_made_is_recognized(kind: str) -> None:
    head, text, quiz = base().widget_ids
    steps: dict[str, dict[str, Any]] = {
        "add": {"action": "add", "element": TEXT},
        "remove": {"action": "remove", "widget_id": quiz},
        "replace": {"action": "replace", "widget_id": text, "element": QUIZ},
        "move": {"action": "move", "widget_id": text, "position": 0},
        "order": {"action": "order", "widget_ids": [text, head]},
    }
    chosen = list(steps.values()) if kind == "all" else [steps[kind]] if kind in steps else []
    before, result, change = apply(*chosen, title="Outro")
    assert not is_applied(before, change, OTHER)
    assert is_applied(result, change, OTHER)
    assert head in result.widget_ids


def test_a_widget_that_somebody_else_removed_does_not_prove_the_rest_of_a_change() -> None:
    _, text, quiz = base().widget_ids
    removal = {"action": "remove", "widget_id": quiz}
    without = changed(base(), CompositionChange.model_validate({"widgets": [removal]}), SEED)
    steps = {
        "title": {},
        "replace": {"action": "replace", "widget_id": text, "element": QUIZ},
        "move": {"action": "move", "widget_id": text, "position": 0},
        "order": {"action": "order", "widget_ids": [text]},
    }
    for kind, step in steps.items():
        for chosen in ([step, removal], [removal, step]) if step else ([removal],):
            _, result, change = apply(*chosen, title="A célula" if step else "Outro")
            assert not is_applied(without, change, OTHER), kind
            assert is_applied(result, change, OTHER), kind


def test_a_move_past_widgets_that_are_removed_afterwards_is_recognized() -> None:
    head, text, quiz = base().widget_ids
    _, result, change = apply(
        {"action": "move", "widget_id": quiz, "position": 1},
        {"action": "remove", "widget_id": head},
    )
    assert result.widget_ids == [quiz, text]
    assert is_applied(result, change, OTHER)


def test_moves_that_would_give_another_order_the_second_time_are_refused_with_the_way_out() -> None:
    _, text, quiz = base().widget_ids
    with pytest.raises(ComposerError) as raised:
        apply(
            {"action": "move", "widget_id": text, "position": 1},
            {"action": "move", "widget_id": quiz, "position": 0},
        )
    assert raised.value.code.code == "ambiguous_moves"
    assert "{action: order, widget_ids: [ids from the top down]}" in raised.value.remedy


@st.composite
def changes_of(draw: st.DrawFn) -> CompositionChange:
    """A change of the lesson above: any steps, on widgets that are there."""
    raw = draw(CHANGES)
    ids = base().widget_ids
    for step in raw.get("widgets", []):
        if "widget_id" in step:
            step["widget_id"] = draw(st.sampled_from(ids))
        if "widget_ids" in step:
            step["widget_ids"] = draw(st.permutations(ids))[: draw(st.integers(1, len(ids)))]
    try:
        return CompositionChange.model_validate(raw)
    except ValidationError:
        return CompositionChange(title="x")


@patient
@given(changes_of())
def test_a_change_made_twice_is_a_change_made_once(change: CompositionChange) -> None:
    try:
        once = changed(base(), change, OTHER)
    except ComposerError as error:
        assert error.code.code in {"widget_not_found", "no_heading", "ambiguous_moves"}
        return
    assert is_applied(once, change, OTHER)
    assert version_of(once) == version_of(changed(base(), change, OTHER))
    assert Document.from_bytes(json.dumps(once.to_json()).encode()).to_json() == once.to_json()


@patient
@given(st.lists(JSON, max_size=5), st.integers(0, 6))
def test_widgets_that_nobody_knows_keep_their_place_and_form(structure: list[Any], position: int) -> None:
    raw = {"version": "1.1", "metadata": {}, "interface": {}, "structure": structure}
    change = CompositionChange.model_validate(
        {"widgets": [{"action": "add", "element": TEXT, "position": position}]}
    )
    result = changed(Document.from_json(raw), change, SEED).to_json()["structure"]
    del result[min(position, len(structure))]
    assert json.dumps(result) == json.dumps(structure)


def test_a_composition_grows_only_so_far_but_a_large_one_can_still_be_changed() -> None:
    structure: list[Any] = [{"id": str(number)} for number in range(MAX_WIDGETS + 5)]
    large = Document.from_json({"version": "1", "metadata": {}, "interface": {}, "structure": structure})
    steps = [{"action": "remove", "widget_id": "0"}, {"action": "add", "element": TEXT}]
    changed(large, CompositionChange.model_validate({"widgets": steps}), SEED)
    with pytest.raises(ComposerError) as raised:
        changed(large, CompositionChange.model_validate({"widgets": steps[1:]}), SEED)
    assert raised.value.code.code == "composition_full"
