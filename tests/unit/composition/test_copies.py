"""A copy has the content of its original and none of its ids."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composer_mcp.composition.compose import is_made_from
from composer_mcp.composition.copies import duplicated, inserted, is_inserted, renumbered
from composer_mcp.composition.document import Document, version_of
from composer_mcp.errors import ComposerError

SEED = UUID(int=7)
OWN, PART = "a3d1c1a0-0000-4000-8000-000000000001", "A3D1C1A0-0000-4000-8000-00000000000A"
QUIZ = {
    "id": OWN,
    "type": "quiz-1",
    "questions": [{"id": PART, "question": "?", "right": PART, "choices": [{"id": "a", "text": "1"}]}],
    "future": [1.0, None, {"about": OWN}],
}


def document(*structure: Any, **more: Any) -> Document:
    raw = {"version": "1.1", "metadata": {"title": "T"}, "interface": {}, "structure": list(structure)}
    return Document.from_json(raw | more)


def test_all_ids_are_new_and_what_names_them_follows() -> None:
    copy = duplicated(document(QUIZ, assets=[{"of": OWN}]), SEED, "U").to_json()
    (widget,) = copy["structure"]
    question = widget["questions"][0]
    assert len({widget["id"], question["id"], OWN, PART}) == 4
    assert question["right"] == question["id"]
    assert widget["future"] == [1.0, None, {"about": widget["id"]}]
    assert copy["assets"] == [{"of": widget["id"]}] and copy["metadata"]["title"] == "U"
    assert question["choices"] == [{"id": "a", "text": "1"}], "what is no UUID stays inside its widget"


def test_a_copy_is_recognized_and_made_again_alike() -> None:
    first, second = (duplicated(document(QUIZ, {"type": "new"}), SEED) for _ in range(2))
    assert is_made_from(first, SEED) and version_of(first) == version_of(second)
    assert not is_made_from(duplicated(document(QUIZ), uuid5(SEED, "other")), SEED)


def test_two_widgets_with_the_same_id_get_two() -> None:
    ids = duplicated(document(QUIZ, QUIZ), SEED).widget_ids
    assert len(set(ids)) == 2


@pytest.mark.parametrize("structure", [[], ["text"], [None, 1]])
def test_where_nothing_could_be_recognized_nothing_is_copied(structure: list[Any]) -> None:
    with pytest.raises(ComposerError) as raised:
        duplicated(document(*structure), SEED)
    assert raised.value.code.code == "nothing_to_copy"


@pytest.mark.parametrize(("position", "at"), [(None, 1), (0, 0), (1, 1), (99, 1)])
def test_widgets_are_put_in_where_they_are_wanted_and_nothing_else_changes(
    position: int | None, at: int
) -> None:
    before = document(QUIZ, more={"x": [1]})
    after = inserted(before, [QUIZ, {"type": "text-1"}], SEED, position)
    raw = after.to_json()
    assert is_inserted(after, 2, SEED) and not is_inserted(before, 2, SEED)
    assert raw["structure"][at : at + 2] == renumbered([QUIZ, {"type": "text-1"}], SEED)
    del raw["structure"][at : at + 2]
    assert raw == before.to_json()


def test_a_composition_does_not_grow_without_end() -> None:
    with pytest.raises(ComposerError) as raised:
        inserted(document(*[{"id": str(n), "type": "x"} for n in range(995)]), [QUIZ] * 6, SEED)
    assert raised.value.code.code == "composition_full"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.uuids().map(str),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text() | st.just("id"), parts, max_size=4),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=5))
def test_a_copy_differs_in_ids_alone(structure: list[Any]) -> None:
    copies = renumbered(structure, SEED)
    assert shape(copies, top=True) == shape(structure, top=True)


def shape(value: Any, *, top: bool = False) -> Any:
    """What a value is but for ids and UUIDs."""
    if isinstance(value, list):
        return [without_id(item) if top else shape(item) for item in value]
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    try:
        return UUID if isinstance(value, str) and UUID(value) else value
    except ValueError:
        return value


def without_id(widget: Any) -> Any:
    """A widget but for its own id, which a copy always has."""
    if isinstance(widget, dict):
        return {name: shape(item) for name, item in widget.items() if name != "id"}
    return shape(widget)
