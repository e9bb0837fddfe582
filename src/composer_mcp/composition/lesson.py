"""What a caller may ask for: a whole lesson, or a change to a composition.

These models are the boundary to language models, so they are strict. ``problems`` says how to repair what
they refuse; how a lesson becomes Composer's document is in ``document``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from composer_mcp.composition.elements import Element
from composer_mcp.composition.fields import Description, LanguageTag, Line, Strict, Subject, Tags, WidgetId

MAX_ELEMENTS = 100
MAX_TOTAL_CHARACTERS = 400_000


def total_characters(value: Any) -> int:
    """Return how many characters the texts in a JSON value have together."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(total_characters(item) for item in value.values())
    if isinstance(value, list):
        return sum(total_characters(item) for item in value)
    return 0


def _limit_characters(model: Strict, advice: str) -> None:
    total = total_characters(model.model_dump())
    if total > MAX_TOTAL_CHARACTERS:
        raise PydanticCustomError(
            "too_many_characters",
            "has {total} characters, the limit is {limit}: {advice}",
            {"total": total, "limit": MAX_TOTAL_CHARACTERS, "advice": advice},
        )


class Lesson(Strict):
    """A lesson, from which one composition is made; a first heading is added if missing."""

    title: Line
    description: Description = ""
    author: Line | None = None
    subject: Subject | None = None
    grade: Line | None = Field(default=None, description="e.g. '7º ano'")
    duration_minutes: int | None = Field(default=None, ge=1, le=600)
    tags: Tags = Field(default_factory=list, max_length=20)
    language: LanguageTag = Field(default="pt_br", description="of the content")
    elements: list[Element] = Field(min_length=1, max_length=MAX_ELEMENTS)

    @model_validator(mode="after")
    def _total_size(self) -> Lesson:
        _limit_characters(self, "make two compositions of it")
        return self


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        raise PydanticCustomError("repeated_id", "each widget may be named once")
    return names


class AddWidget(Strict):
    """Put a new element into the composition."""

    action: Literal["add"] = "add"
    element: Element
    position: int | None = Field(default=None, ge=0, description="0 is the top; left out: at the end")


class ReplaceWidget(Strict):
    """Put a new element in the place of a widget; the widget keeps its id."""

    action: Literal["replace"] = "replace"
    widget_id: WidgetId
    element: Element


class MoveWidget(Strict):
    """Move a widget to another position, counted after it was taken out."""

    action: Literal["move"] = "move"
    widget_id: WidgetId
    position: int = Field(ge=0, description="0 is the top")


class OrderWidgets(Strict):
    """Put widgets in this order at the top; those not named follow in their present order."""

    action: Literal["order"] = "order"
    widget_ids: Annotated[list[WidgetId], AfterValidator(_each_once)] = Field(min_length=1, max_length=1000)


class RemoveWidget(Strict):
    """Take a widget out."""

    action: Literal["remove"] = "remove"
    widget_id: WidgetId


WidgetChange = Annotated[
    AddWidget | ReplaceWidget | MoveWidget | OrderWidgets | RemoveWidget,
    Field(discriminator="action"),
]


class CompositionChange(Strict):
    """What to change in a composition; what is left out stays as it is.

    `widgets` are applied in order. Widget ids are in the document that `get_composition` returns.
    """

    title: Line | None = None
    description: Description | None = None
    author: Line | None = Field(default=None, description="the name in the first heading")
    tags: Tags | None = Field(default=None, max_length=20, description="replaces all tags")
    widgets: list[WidgetChange] = Field(default_factory=list, max_length=MAX_ELEMENTS)

    @property
    def overwrites(self) -> list[str]:
        """What the change replaces, in its own words; somebody may have edited that since it was read."""
        texts = [
            name for name in ("title", "description", "author", "tags") if getattr(self, name) is not None
        ]
        steps = {step.action for step in self.widgets} - {"add"}
        return [*texts, *sorted(steps)]

    @model_validator(mode="after")
    def _changes_something(self) -> CompositionChange:
        if not self.widgets and all(
            value is None for value in (self.title, self.description, self.author, self.tags)
        ):
            raise PydanticCustomError(
                "no_change", "give at least one of title, description, author, tags, widgets"
            )
        _limit_characters(self, "make it in several calls")
        return self
