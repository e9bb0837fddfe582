"""Composer's document (``*.rdpcomposer``): read without loss, made from a lesson, changed.

Nothing here speaks to Composer.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any, Self

from pydantic import BaseModel, Field, JsonValue, ValidationError, field_serializer, field_validator

from composer_mcp.composition import html, lesson, widgets
from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.composition.widgets import Head, Part, Widget
from composer_mcp.errors import NO_HEADING, WIDGET_NOT_FOUND, ComposerError

SUBJECTS = {
    "pt": {
        "science": "Ciências",
        "math": "Matemática",
        "history": "História",
        "geography": "Geografia",
        "language": "Língua Portuguesa",
        "arts": "Artes",
    },
    "es": {
        "science": "Ciencias",
        "math": "Matemáticas",
        "history": "Historia",
        "geography": "Geografía",
        "language": "Lengua",
        "arts": "Artes",
    },
}


class InvalidDocument(ValueError):
    """The JSON is not a composition."""


class Metadata(Part):
    """Title and what else is said about the composition as a whole."""

    title: str | None = "Sem título"
    description: str | None = ""
    thumb: JsonValue = None
    tags: JsonValue = Field(default_factory=list)
    # Wanted by one source, absent from captured files: written, never demanded.
    category: JsonValue = ""
    duration: JsonValue = None


class Document(Part):
    """One composition. Unknown fields and widgets are kept: ``to_json(from_json(x)) == x``."""

    version: str
    metadata: Metadata
    interface: dict[str, JsonValue]
    structure: list[Widget]
    assets: list[JsonValue] = Field(default_factory=list)

    @field_validator("structure", mode="before")
    @classmethod
    def _widgets(cls, raw: Any) -> Any:
        if not isinstance(raw, list):
            return raw
        return [item if isinstance(item, BaseModel) else widgets.read(item) for item in raw]

    @field_serializer("structure")
    def _plain(self, structure: list[Widget]) -> list[Any]:
        return [widgets.write(widget) for widget in structure]

    @classmethod
    def from_json(cls, raw: Any) -> Self:
        """Read a document.

        Raises:
            InvalidDocument: a required part is missing or of a wrong type; the message names it.
        """
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "document"
            raise InvalidDocument(f"{place}: {first['msg']}") from None

    def to_json(self) -> dict[str, Any]:
        """Return the document as Composer stores it."""
        return self.model_dump(mode="json", exclude_unset=True)

    @property
    def title(self) -> str:
        """The composition's title."""
        return self.metadata.title or ""

    @property
    def widget_ids(self) -> list[str]:
        """Ids of all widgets that have one, in reading order."""
        return [widget.id for widget in self.structure if widget.id is not None]

    def position_of(self, widget_id: str) -> int:
        """Return where a widget stands.

        Raises:
            widget_not_found: there is none of that id.
        """
        for position, widget in enumerate(self.structure):
            if widget.id == widget_id:
                return position
        raise WIDGET_NOT_FOUND.error(widget_id=widget_id)


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


def compose(lesson_: Lesson, seed: uuid.UUID | None = None, media: str = widgets.MEDIA) -> Document:
    """Return the document of a lesson.

    The widgets' ids are derived from ``seed``; the same seed and lesson give the same document.
    ``media`` is where Composer keeps the default pictures of headings.
    """
    seed = seed or uuid.uuid4()
    elements = list(lesson_.elements)
    if not isinstance(elements[0], lesson.Heading):
        elements.insert(0, _heading(lesson_))
    structure: list[Widget] = [
        widgets.from_element(element, _widget_id(seed, number), media)
        for number, element in enumerate(elements)
    ]
    return Document(
        version="1.1",
        metadata=Metadata(
            title=lesson_.title,
            description=lesson_.description,
            thumb=None,
            tags=list(lesson_.tags),
            category=_subject(lesson_),
            duration=lesson_.duration_minutes,
        ),
        interface={
            "content_language": lesson_.language,
            "index_option": "buttons",
            "font_family": "Lato",
            "show_summary": "disabled",
            "finish_btn": "disabled",
        },
        structure=structure,
        assets=[],
    )


def is_made_from(document: Document, seed: uuid.UUID) -> bool:
    """Whether ``document`` was composed with ``seed``: its first widgets carry ids that only it gives.

    Ids of widgets are the marker because Composer is known to keep them, which cannot be said of a field
    of our own; a few are looked at, because a teacher may have removed the first one since.
    """
    candidates = {_widget_id(seed, number) for number in range(lesson.MAX_ELEMENTS + 1)}
    return not candidates.isdisjoint(document.widget_ids)


def _widget_id(seed: uuid.UUID, number: int) -> str:
    return str(uuid.uuid5(seed, str(number)))


def _subject(lesson_: Lesson) -> str:
    if lesson_.subject is None:
        return ""
    names = SUBJECTS.get(lesson_.language[:2], {})
    return names.get(lesson_.subject, lesson_.subject.capitalize())


def _heading(lesson_: Lesson) -> lesson.Heading:
    category = " · ".join(part for part in (_subject(lesson_), lesson_.grade) if part)
    return lesson.Heading(title=lesson_.title, category=category or None, author_name=lesson_.author)


def changed(
    document: Document, change: CompositionChange, seed: uuid.UUID, media: str = widgets.MEDIA
) -> Document:
    """Return a changed copy; ids of new widgets are derived from ``seed``, ``media`` as in :func:`compose`.

    Raises:
        widget_not_found: the change names a widget that is not there.
        no_heading: an author's name is to be set, and there is no heading to hold it.
    """
    result = Document.from_json(document.to_json())
    if change.title is not None:
        result.metadata.title = change.title
    if change.description is not None:
        result.metadata.description = change.description
    if change.tags is not None:
        result.metadata.tags = list(change.tags)
    for number, step in enumerate(change.widgets):
        _apply(result, step, _widget_id(seed, number), media)
    if change.author is not None:
        head = next((widget for widget in result.structure if isinstance(widget, Head)), None)
        if head is None:
            raise NO_HEADING.error()
        head.author_name = html.paragraphs(change.author)
        head.show_author_name = True
    return result


def _apply(document: Document, step: lesson.WidgetChange, new_id: str, media: str) -> None:
    structure = document.structure
    match step:
        case lesson.AddWidget():
            position = len(structure) if step.position is None else step.position
            structure.insert(position, widgets.from_element(step.element, new_id, media))
        case lesson.ReplaceWidget():
            position = document.position_of(step.widget_id)
            structure[position] = widgets.from_element(step.element, step.widget_id, media)
        case lesson.MoveWidget():
            structure.insert(step.position, structure.pop(document.position_of(step.widget_id)))
        case lesson.RemoveWidget():
            del structure[document.position_of(step.widget_id)]


def is_applied(document: Document, change: CompositionChange, seed: uuid.UUID) -> bool:
    """Whether ``document`` already is what :func:`changed` makes with this change and seed.

    New widgets are recognized by their ids. Everything else is a change that, made twice, changes nothing.
    """
    present = set(document.widget_ids)
    removed = {step.widget_id for step in change.widgets if isinstance(step, lesson.RemoveWidget)}
    added = {
        _widget_id(seed, number)
        for number, step in enumerate(change.widgets)
        if isinstance(step, lesson.AddWidget)
    }
    if not added <= present or not removed.isdisjoint(present):
        return False
    if added:
        return True
    rest = [step for step in change.widgets if not isinstance(step, lesson.RemoveWidget)]
    repeated = change.model_copy(update={"widgets": rest})
    try:
        return version_of(changed(document, repeated, seed)) == version_of(document)
    except ComposerError:
        return False
