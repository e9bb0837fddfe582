"""Composer's document (``*.rdpcomposer``): read without loss, recognized by its content.

A document is the JSON it was read from. What is understood of it is offered as views; everything else, known
or not, stays where it is, in its order. Documents are values: a change makes a new one (see ``changes``).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from functools import cached_property
from typing import Any, Self

from composer_mcp.composition import widgets
from composer_mcp.composition.json_values import (
    TooMuch,
    copied,
    has_only_finite_numbers,
    measure,
    storable,
)
from composer_mcp.composition.widgets import Widget
from composer_mcp.errors import WIDGET_NOT_FOUND

#: More than any composition has, little enough for every reader on the way.
MAX_DEPTH = 200
MAX_PARTS = 2_000_000


class InvalidDocument(ValueError):
    """The JSON is not a composition."""


class Document:
    """One composition. ``to_json`` gives back what ``from_json`` was given, byte for byte once written."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Read a document.

        Raises:
            InvalidDocument: a required part is missing or of a wrong type; the message names it.
        """
        try:
            measure(raw, MAX_DEPTH, MAX_PARTS)
        except TooMuch as problem:
            raise InvalidDocument(f"document: {problem}") from None
        if not has_only_finite_numbers(raw):
            raise InvalidDocument("document: it holds a number that JSON cannot write")
        _check(raw)
        return cls(copied(raw))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a document from JSON as it comes over the wire: UTF-8, with or without a byte order mark.

        Raises:
            InvalidDocument: it is not JSON in UTF-8, holds numbers that JSON cannot write, or is none.
        """
        try:
            raw = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_number, parse_float=_finite)
        except UnicodeDecodeError as problem:
            raise InvalidDocument(f"document: not UTF-8 at byte {problem.start}") from None
        except RecursionError:
            raise InvalidDocument("document: it is nested too deep") from None
        except ValueError as problem:
            raise InvalidDocument(f"document: not JSON: {str(problem)[:200]}") from None
        return cls.from_json(raw)

    def to_json(self) -> dict[str, Any]:
        """Return a copy of the document as Composer stores it."""
        result = copied(self._raw)
        if not isinstance(result, dict):
            raise TypeError("a document is an object")
        return result

    def shown(self) -> dict[str, Any]:
        """Return the document for reading: as it is, but for characters that cannot be stored or sent."""
        result = storable(self._raw)
        if not isinstance(result, dict):
            raise TypeError("a document is an object")
        return result

    @property
    def title(self) -> str:
        """The composition's title; this and what follows is for reading, as in :meth:`shown`."""
        return self._text("title")

    @property
    def description(self) -> str:
        """What the composition is about."""
        return self._text("description")

    @property
    def tags(self) -> list[str]:
        """The composition's tags, as far as they are texts."""
        found = storable(self._raw["metadata"].get("tags"))
        return [tag for tag in found if isinstance(tag, str)] if isinstance(found, list) else []

    def _text(self, name: str) -> str:
        text = storable(self._raw["metadata"].get(name))
        return text if isinstance(text, str) else ""

    @cached_property
    def structure(self) -> list[Widget]:
        """The widgets in reading order, as views."""
        return [widgets.read(item) for item in self._raw["structure"]]

    @property
    def widget_ids(self) -> list[str]:
        """Ids of all widgets that have one, in reading order."""
        return [found for item in self._raw["structure"] if (found := widgets.id_of(item)) is not None]

    def position_of(self, widget_id: str) -> int:
        """Return where a widget stands.

        Raises:
            widget_not_found: there is none of that id.
        """
        return position_of(self._raw["structure"], widget_id)


def position_of(structure: list[Any], widget_id: str) -> int:
    """Return where a widget stands in the structure of a document.

    Raises:
        widget_not_found: there is none of that id.
    """
    for position, item in enumerate(structure):
        if widgets.id_of(item) == widget_id:
            return position
    raise WIDGET_NOT_FOUND.error(widget_id=widget_id)


def derived_id(seed: uuid.UUID, number: int) -> str:
    """Return the id of the widget with this number among those that one call writes."""
    return str(uuid.uuid5(seed, str(number)))


def version_of(document: Document) -> str:
    """Return a hash of the content: equal for equal documents, whatever the order of their fields."""
    canonical = json.dumps(
        _whole_numbers(document.to_json()), sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _whole_numbers(value: Any) -> Any:
    # JavaScript has one kind of number: the editor writes back 1.0 as 1, which is no change.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return value


#: What must be there (True) or may be (False), and of which types.
_SHAPE: dict[str, tuple[bool, type, str]] = {
    "version": (True, str, "a text"),
    "metadata": (True, dict, "an object"),
    "interface": (True, dict, "an object"),
    "structure": (True, list, "a list"),
    "assets": (False, list, "a list"),
}


def _check(raw: Any) -> None:
    if not isinstance(raw, dict):
        raise InvalidDocument("document: must be an object")
    for name, (required, kind, words) in _SHAPE.items():
        if name not in raw:
            if required:
                raise InvalidDocument(f"{name}: is missing")
        elif not isinstance(raw[name], kind):
            raise InvalidDocument(f"{name}: must be {words}")
    for name in ("title", "description"):
        if not isinstance(raw["metadata"].get(name), (str, type(None))):
            raise InvalidDocument(f"metadata.{name}: must be a text or null")


def _refuse_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:40]} is too large")
    return number
