"""The elements of a lesson: what a caller writes. Nothing here knows Composer's document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from composer_mcp.composition import html
from composer_mcp.composition.fields import Address, Colour, Line, Prose, Strict


class Heading(Strict):
    """Banner with title, category, author."""

    type: Literal["heading"] = "heading"
    title: Line
    category: Line | None = Field(default=None, description="e.g. 'Ciências · 7º ano'")
    author_name: Line | None = None
    author_office: Line | None = Field(default=None, description="e.g. 'Professora'")
    background_image: Address | None = None
    avatar: Address | None = None
    primary_color: Colour | None = Field(default=None, description="text")
    secondary_color: Colour | None = Field(default=None, description="background")


class Text(Strict):
    """Passage: `text` (plain, empty line = new paragraph) or `html`, not both."""

    type: Literal["text"] = "text"
    title: Line | None = None
    text: Prose | None = None
    html: Prose | None = Field(default=None, description="headings, lists, tables, emphasis, links, images")

    @model_validator(mode="after")
    def _one_form(self) -> Text:
        if self.text is None and self.html is None:
            raise PydanticCustomError("no_text", "give exactly one of `text` (plain) and `html`")
        if self.text is not None and self.html is not None:
            raise PydanticCustomError("text_twice", "give exactly one of `text` (plain) and `html`")
        if self.html is not None and html.is_too_deep(self.html):
            raise PydanticCustomError("html_too_deep", "nests elements too deep: write it flatter")
        if self.html is not None and not html.shows_something(self.html):
            raise PydanticCustomError(
                "html_empty", "shows nothing once scripts, forms, frames and the like are removed"
            )
        return self


class Choice(Strict):
    """One possible answer."""

    text: Prose
    correct: bool = False
    feedback: Prose | None = Field(default=None, description="shown if chosen")


class Question(Strict):
    """A question with its possible answers; at least one is correct."""

    question: Prose
    choices: list[Choice] = Field(min_length=2, max_length=10)
    feedback: Prose | None = Field(default=None, description="shown once answered")

    @model_validator(mode="after")
    def _answerable(self) -> Question:
        if not any(choice.correct for choice in self.choices):
            raise PydanticCustomError("no_correct_choice", "mark at least one choice with `correct: true`")
        if len({choice.text.casefold() for choice in self.choices}) != len(self.choices):
            raise PydanticCustomError("same_choice", "two choices have the same text")
        return self


class Quiz(Strict):
    """Multiple choice."""

    type: Literal["quiz"] = "quiz"
    questions: list[Question] = Field(min_length=1, max_length=50)


class Image(Strict):
    """Picture on the web."""

    type: Literal["image"] = "image"
    url: Address
    description: Line = Field(description="for those who cannot see it")
    caption: Line | None = None


class Video(Strict):
    """Video on the web."""

    type: Literal["video"] = "video"
    url: Address
    title: Line | None = None


class List(Strict):
    """List of short items."""

    type: Literal["list"] = "list"
    title: Line | None = None
    style: Literal["bullet", "numbered", "checkbox"] = "bullet"
    items: list[Prose] = Field(min_length=1, max_length=100)


class Card(Strict):
    """One card: a question or term, and what is on its back."""

    front: Prose
    back: Prose


class Flashcards(Strict):
    """Cards that flip."""

    type: Literal["flashcards"] = "flashcards"
    title: Line | None = None
    cards: list[Card] = Field(min_length=1, max_length=60)


class Slide(Strict):
    """One picture of a gallery."""

    url: Address
    description: Line
    caption: Line | None = None


class Gallery(Strict):
    """Pictures as slides."""

    type: Literal["gallery"] = "gallery"
    title: Line | None = None
    slides: list[Slide] = Field(min_length=1, max_length=40)


Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class Point(Strict):
    """One point of a picture, and what it explains."""

    x: Percent = Field(description="% from the left")
    y: Percent = Field(description="% from the top")
    title: Line
    text: Prose | None = None


class Hotspots(Strict):
    """Picture with explained points."""

    type: Literal["hotspots"] = "hotspots"
    title: Line | None = None
    url: Address
    description: Line
    points: list[Point] = Field(min_length=1, max_length=30)


AnyElement = Heading | Text | Quiz | Image | Video | List | Flashcards | Gallery | Hotspots
Element = Annotated[AnyElement, Field(discriminator="type")]

ELEMENTS: dict[str, type[AnyElement]] = {
    "heading": Heading,
    "text": Text,
    "quiz": Quiz,
    "image": Image,
    "video": Video,
    "list": List,
    "flashcards": Flashcards,
    "gallery": Gallery,
    "hotspots": Hotspots,
}
