"""What a caller may ask for: a whole lesson, or a change to a composition.

These models are the boundary to language models, so they are strict and their complaints say how to
repair the input. How a lesson becomes Composer's document is in ``document``; nothing here knows it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_ELEMENTS = 100
MAX_TOTAL_CHARACTERS = 400_000

Subject = Literal["science", "math", "history", "geography", "language", "arts"]


def _printable(text: str) -> str:
    # PostgreSQL refuses U+0000 in JSON, and unpaired surrogates cannot be sent as UTF-8 at all.
    for character in text:
        if character not in "\n\t" and unicodedata.category(character) in {"Cc", "Cs"}:
            raise ValueError(f"remove the control character U+{ord(character):04X}")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("must be a single line: remove line breaks and tabs")
    return text


def _https_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError as problem:
        raise ValueError(f"is not an address: {problem}") from None
    if parts.scheme != "https" or not host or parts.username or parts.password or re.search(r"\s", text):
        raise ValueError("must be a complete https:// address without user name or spaces")
    return text


Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=300),
    AfterValidator(_printable),
    AfterValidator(_one_line),
]
Prose = Annotated[str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(_printable)]
Address = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_https_address)]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9A-Fa-f]{6}$")]
WidgetId = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_printable)]
Tag = Annotated[
    str, StringConstraints(min_length=1, max_length=60), AfterValidator(_printable), AfterValidator(_one_line)
]


def _distinct(tags: list[str]) -> list[str]:
    if len({tag.casefold() for tag in tags}) != len(tags):
        raise ValueError("each tag may appear once")
    return tags


Tags = Annotated[list[Tag], Field(max_length=20), AfterValidator(_distinct)]


class Strict(BaseModel):
    """Base: no silent conversions, no unknown fields, surrounding white space removed."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)


class Heading(Strict):
    """The banner at the top of a composition or of a part of it."""

    type: Literal["heading"] = "heading"
    title: Line
    category: Line | None = Field(
        default=None, description="small text above the title, e.g. 'Ciências · 7º ano'"
    )
    author_name: Line | None = None
    author_office: Line | None = Field(default=None, description="e.g. 'Professora de Ciências'")
    background_image: Address | None = None
    avatar: Address | None = None
    primary_color: Colour | None = Field(default=None, description="text colour")
    secondary_color: Colour | None = Field(default=None, description="background colour")


class Text(Strict):
    """A passage of text: give `text` (plain; an empty line starts a paragraph) or `html`, not both."""

    type: Literal["text"] = "text"
    title: Line | None = None
    text: Prose | None = None
    html: Prose | None = Field(
        default=None, description="paragraphs, lists, tables, emphasis, links; everything else is removed"
    )

    @model_validator(mode="after")
    def _one_form(self) -> Text:
        if (self.text is None) == (self.html is None):
            raise ValueError("give exactly one of `text` (plain) and `html`")
        return self


class Choice(Strict):
    """One possible answer."""

    text: Prose
    correct: bool = False


class Question(Strict):
    """A question with its possible answers."""

    question: Prose
    choices: list[Choice] = Field(min_length=2, max_length=10)

    @model_validator(mode="before")
    @classmethod
    def _name_of_choices(cls, data: Any) -> Any:
        if isinstance(data, dict) and "choices" not in data:
            for wrong in ("answers", "options", "alternatives"):
                if wrong in data:
                    raise ValueError(
                        f"the answers belong in `choices`, not `{wrong}`: [{{text, correct}}, …]"
                    )
        return data

    @model_validator(mode="after")
    def _answerable(self) -> Question:
        if not any(choice.correct for choice in self.choices):
            raise ValueError("mark at least one choice with `correct: true`")
        if len({choice.text.casefold() for choice in self.choices}) != len(self.choices):
            raise ValueError("two choices have the same text")
        return self


class Quiz(Strict):
    """Multiple-choice questions."""

    type: Literal["quiz"] = "quiz"
    questions: list[Question] = Field(min_length=1, max_length=50)


class Image(Strict):
    """A picture that is already on the web."""

    type: Literal["image"] = "image"
    url: Address
    description: Line = Field(description="what the picture shows, read aloud to those who cannot see it")
    caption: Line | None = None


class Video(Strict):
    """A video that is already on the web."""

    type: Literal["video"] = "video"
    url: Address
    title: Line | None = None


class List(Strict):
    """A list of short items."""

    type: Literal["list"] = "list"
    title: Line | None = None
    style: Literal["bullet", "numbered", "checkbox"] = "bullet"
    items: list[Prose] = Field(min_length=1, max_length=100)


class Card(Strict):
    """One card: a question or term, and what is on its back."""

    front: Prose
    back: Prose


class Flashcards(Strict):
    """Cards that are turned over."""

    type: Literal["flashcards"] = "flashcards"
    title: Line | None = None
    cards: list[Card] = Field(min_length=1, max_length=60)


Element = Annotated[
    Heading | Text | Quiz | Image | Video | List | Flashcards,
    Field(discriminator="type"),
]


def _total_characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_total_characters(item) for item in value.values())
    if isinstance(value, list):
        return sum(_total_characters(item) for item in value)
    return 0


class Lesson(Strict):
    """A complete lesson, from which one composition is made.

    If the first element is not a heading, one is made from title, subject, grade and author.
    """

    title: Line
    description: Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_printable)] = ""
    author: Line | None = None
    subject: Subject | None = None
    grade: Line | None = Field(default=None, description="e.g. '7º ano'")
    duration_minutes: int | None = Field(default=None, ge=1, le=600)
    tags: Tags = Field(default_factory=list)
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(_[a-z]{2})?$")] = Field(
        default="pt_br", description="language of the content, e.g. pt_br, en_us"
    )
    elements: list[Element] = Field(min_length=1, max_length=MAX_ELEMENTS, description="in reading order")

    @model_validator(mode="after")
    def _total_size(self) -> Lesson:
        total = _total_characters(self.model_dump())
        if total > MAX_TOTAL_CHARACTERS:
            raise ValueError(
                f"the lesson has {total} characters, the limit is {MAX_TOTAL_CHARACTERS}: "
                "make two compositions of it"
            )
        return self


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


class RemoveWidget(Strict):
    """Take a widget out."""

    action: Literal["remove"] = "remove"
    widget_id: WidgetId


WidgetChange = Annotated[
    AddWidget | ReplaceWidget | MoveWidget | RemoveWidget,
    Field(discriminator="action"),
]


class CompositionChange(Strict):
    """What to change in a composition; what is left out stays as it is.

    `widgets` are applied in order. Widget ids are in the document that `get_composition` returns.
    """

    title: Line | None = None
    description: Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_printable)] | None = None
    author: Line | None = Field(default=None, description="the name in the first heading")
    tags: Tags | None = Field(default=None, description="replaces all tags")
    widgets: list[WidgetChange] = Field(default_factory=list, max_length=MAX_ELEMENTS)

    @model_validator(mode="after")
    def _changes_something(self) -> CompositionChange:
        if not self.widgets and all(
            value is None for value in (self.title, self.description, self.author, self.tags)
        ):
            raise ValueError("give at least one of title, description, author, tags, widgets")
        total = _total_characters(self.model_dump())
        if total > MAX_TOTAL_CHARACTERS:
            raise ValueError(
                f"the change has {total} characters, the limit is {MAX_TOTAL_CHARACTERS}: "
                "make it in several calls"
            )
        return self
