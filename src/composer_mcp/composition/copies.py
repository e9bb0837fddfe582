"""Documents made from others: the same content under new ids, so that no two compositions share one.

The ids are derived from a seed: whoever makes the same copy again gets the same ids, and can be recognized.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from composer_mcp.composition.changes import limit_growth
from composer_mcp.composition.document import Document, derived_id
from composer_mcp.errors import NOTHING_TO_COPY

UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def duplicated(document: Document, seed: uuid.UUID, title: str | None = None) -> Document:
    """Return a copy of a whole composition; ``title`` replaces its title.

    Raises:
        nothing_to_copy: it has no widget, so its copy could not be recognized.
    """
    raw = document.to_json()
    structure = raw["structure"]
    if not any(isinstance(widget, dict) for widget in structure):
        raise NOTHING_TO_COPY.error(what="The composition")
    # Assets and the interface may name widgets, too.
    copy: dict[str, Any] = _replaced(raw, _new_ids(structure, seed))
    copy["structure"] = renumbered(structure, seed)
    if title is not None:
        copy["metadata"]["title"] = title
    return Document(copy)


def inserted(
    document: Document, structure: Sequence[dict[str, Any]], seed: uuid.UUID, position: int | None = None
) -> Document:
    """Return a copy of ``document`` with these widgets at ``position`` (0 is the top, ``None`` the end).

    Raises:
        composition_full: it would have too many widgets.
    """
    raw = document.to_json()
    widgets = raw["structure"]
    limit_growth(len(widgets), len(widgets) + len(structure))
    place = len(widgets) if position is None else position
    widgets[place:place] = renumbered(structure, seed)
    return Document(raw)


def is_inserted(document: Document, count: int, seed: uuid.UUID) -> bool:
    """Whether :func:`inserted` was done with ``count`` widgets and this seed."""
    return {derived_id(seed, number) for number in range(count)} <= set(document.widget_ids)


def renumbered(structure: Sequence[Any], seed: uuid.UUID) -> list[Any]:
    """Return widgets with new ids, each in its place: those of their parts too, and wherever they are named.

    A widget that had no id is given one, because ids are how a copy is recognized. Ids of parts that are no
    UUIDs mean something only inside their widget, and stay.
    """
    ids = _new_ids(structure, seed)
    return [
        _replaced(widget, ids) | {"id": derived_id(seed, number)} if isinstance(widget, dict) else widget
        for number, widget in enumerate(structure)
    ]


def _new_ids(structure: Sequence[Any], seed: uuid.UUID) -> dict[str, str]:
    """Map each UUID that is an id in a structure to a new one."""
    ids: dict[str, str] = {}
    for number, widget in enumerate(structure):
        own = derived_id(seed, number)
        if isinstance(widget, dict) and _is_uuid(widget.get("id")):
            ids.setdefault(widget["id"], own)
        for part in _ids_in(widget):
            ids.setdefault(part, str(uuid.uuid5(uuid.UUID(own), part)))
    return ids


def _ids_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if _is_uuid(value.get("id")):
            yield value["id"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _ids_in(item)


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and UUID.fullmatch(value) is not None


def _replaced(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, str):
        return ids.get(value, value)
    if isinstance(value, list):
        return [_replaced(item, ids) for item in value]
    if isinstance(value, dict):
        return {key: _replaced(item, ids) for key, item in value.items()}
    return value
