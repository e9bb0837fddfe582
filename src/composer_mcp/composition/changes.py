"""A changed copy of a document, and whether a document is one already."""

from __future__ import annotations

import uuid
from typing import Any

from composer_mcp.composition import building, html, lesson, widgets
from composer_mcp.composition.document import Document, derived_id, position_of, version_of
from composer_mcp.composition.lesson import CompositionChange
from composer_mcp.errors import AMBIGUOUS_MOVES, COMPOSITION_FULL, NO_HEADING, ComposerError

#: A composition that already has more, made by hand, can still be changed, but not grow.
MAX_WIDGETS = 1000


def changed(
    document: Document, change: CompositionChange, seed: uuid.UUID, media: str = building.MEDIA
) -> Document:
    """Return a changed copy; ids of new widgets are derived from ``seed``, ``media`` as in ``compose``.

    Raises:
        widget_not_found: the change names a widget that is not there.
        no_heading: an author's name is to be set, and there is no heading to hold it.
        composition_full: it would have too many widgets.
        ambiguous_moves: made a second time after a failure, the moves would give another order.
    """
    result = _made(document, change, seed, media)
    moves = sum(isinstance(step, (lesson.MoveWidget, lesson.OrderWidgets)) for step in change.widgets)
    if moves > 1 and not is_applied(result, change, seed):
        raise AMBIGUOUS_MOVES.error(moves=moves)
    return result


def _made(document: Document, change: CompositionChange, seed: uuid.UUID, media: str) -> Document:
    raw = document.to_json()
    metadata, structure = raw["metadata"], raw["structure"]
    before = len(structure)
    if change.title is not None:
        metadata["title"] = change.title
    if change.description is not None:
        metadata["description"] = change.description
    if change.tags is not None:
        metadata["tags"] = list(change.tags)
    for number, step in enumerate(change.widgets):
        _apply(structure, step, derived_id(seed, number), media)
    limit_growth(before, len(structure))
    if change.author is not None:
        _set_author(structure, change.author)
    return Document(raw)


def limit_growth(before: int, after: int) -> None:
    """Refuse a change of the number of widgets that would make a composition too large.

    Raises:
        composition_full: it grows, and beyond the limit.
    """
    if after > max(MAX_WIDGETS, before):
        raise COMPOSITION_FULL.error(count=after, limit=MAX_WIDGETS)


def _set_author(structure: list[Any], author: str) -> None:
    for item in structure:
        if isinstance(widgets.read(item), widgets.Head):
            item["author_name"] = html.paragraphs(author)
            item["show_author_name"] = True
            return
    raise NO_HEADING.error()


def _apply(structure: list[Any], step: lesson.WidgetChange, new_id: str, media: str) -> None:
    match step:
        case lesson.AddWidget():
            position = len(structure) if step.position is None else step.position
            structure.insert(position, building.widget(step.element, new_id, media))
        case lesson.ReplaceWidget():
            position = position_of(structure, step.widget_id)
            structure[position] = building.widget(step.element, step.widget_id, media)
        case lesson.MoveWidget():
            structure.insert(step.position, structure.pop(position_of(structure, step.widget_id)))
        case lesson.OrderWidgets():
            first = [structure.pop(position_of(structure, name)) for name in step.widget_ids]
            structure[:0] = first
        case lesson.RemoveWidget():
            del structure[position_of(structure, step.widget_id)]


def is_applied(document: Document, change: CompositionChange, seed: uuid.UUID) -> bool:
    """Whether ``document`` already is what :func:`changed` makes with this change and seed.

    New widgets are recognized by their ids: all of a change is written at once. Everything else is a change
    that, made twice, changes nothing; moves for which this does not hold are refused beforehand. That what
    it removes is absent proves nothing, because anybody may have removed it.
    """
    present = set(document.widget_ids)
    removed = {step.widget_id for step in change.widgets if isinstance(step, lesson.RemoveWidget)}
    added = {
        derived_id(seed, number)
        for number, step in enumerate(change.widgets)
        if isinstance(step, lesson.AddWidget)
    }
    if not added <= present or not removed.isdisjoint(present):
        return False
    if added:
        return True
    # Where the removed widgets stood is unknown, and matters to a step that moved another before they went:
    # only how many stood above it.
    gone = [{"id": name} for name in _removals(change)]
    return any(
        _makes(document, change, seed, above=gone[:count], below=gone[count:])
        for count in range(len(gone) + 1)
    )


def _removals(change: CompositionChange) -> list[str]:
    """Return the widgets that a change removes, the last one first."""
    steps = reversed(change.widgets)
    return list(dict.fromkeys(step.widget_id for step in steps if isinstance(step, lesson.RemoveWidget)))


def _makes(
    document: Document, change: CompositionChange, seed: uuid.UUID, *, above: list[Any], below: list[Any]
) -> bool:
    """Whether a change makes ``document`` of itself and what was removed from its beginning and its end."""
    raw = document.to_json()
    raw["structure"] = [*above, *raw["structure"], *below]
    try:
        return version_of(_made(Document(raw), change, seed, building.MEDIA)) == version_of(document)
    except ComposerError:
        return False
