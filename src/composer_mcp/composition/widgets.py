"""The widgets of a Composer document, field by field.

Head, Text and Quiz are as seen in captured documents. The models under "not confirmed" are the smallest
sensible guess for widgets that are known by name only; a correction is made here and nowhere else.
Every model keeps fields that it does not know, so reading and writing loses nothing.
"""

from __future__ import annotations

import uuid
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, RootModel, ValidationError

from composer_mcp.composition import html, lesson

#: Where Composer keeps the default pictures of headings.
MEDIA = "https://pocs.digitalpages.com.br/rdpcomposer/media"


class Part(BaseModel):
    """Base of everything inside a document: strict types, unknown fields kept."""

    model_config = ConfigDict(extra="allow", strict=True)


class Head(Part):
    """``head-1``: banner with title, category and author (complete)."""

    id: str
    type: Literal["head-1"] = "head-1"
    content_title: str | None
    primary_color: str = "#FFFFFF"
    secondary_color: str = "#aa2c23"
    category: str = ""
    background_image: str | None
    avatar: str | None
    avatar_border_color: str = "#00643e"
    author_name: str = ""
    author_office: str | None = None
    show_category: bool = True
    show_author_name: bool = True
    show_divider: bool = True


class Text(Part):
    """``text-1``: a passage of rich text (complete)."""

    id: str
    type: Literal["text-1"] = "text-1"
    content_title: str | None = None
    background_color: str = "#FFFFFF"
    padding_top: int = 0
    padding_bottom: int = 0
    content: str


class Choice(Part):
    """One possible answer of a quiz question."""

    id: str
    correct: bool
    text: str


class Question(Part):
    """One question of a quiz; the key is ``choices``, never ``answers``."""

    id: str
    question: str
    choices: list[Choice]


class Quiz(Part):
    """``quiz-1``: multiple choice (partly known)."""

    id: str
    type: Literal["quiz-1"] = "quiz-1"
    questions: list[Question]


# --- not confirmed by captured data ----------------------------------------------------------------


class Image(Part):
    """``image-1``: neither the name nor the fields are confirmed by captured data."""

    id: str
    type: Literal["image-1"] = "image-1"
    image: str
    description: str
    caption: str | None = None


class Video(Part):
    """``video-1``: the fields are not confirmed by captured data."""

    id: str
    type: Literal["video-1"] = "video-1"
    content_title: str | None = None
    video: str


class List(Part):
    """``list-1``: the fields are not confirmed by captured data."""

    id: str
    type: Literal["list-1"] = "list-1"
    content_title: str | None = None
    list_style: Literal["bullet", "numbered", "checkbox"] = "bullet"
    items: list[dict[str, str]]


class Flashcards(Part):
    """``flashcards-1``: the fields are not confirmed by captured data."""

    id: str
    type: Literal["flashcards-1"] = "flashcards-1"
    content_title: str | None = None
    cards: list[dict[str, str]]


# ---------------------------------------------------------------------------------------------------


class Unknown(RootModel[JsonValue]):
    """Whatever else stands in a document, kept as it is."""

    @property
    def id(self) -> str | None:
        """Its id, if it has one."""
        found = self.root.get("id") if isinstance(self.root, dict) else None
        return found if isinstance(found, str) else None

    @property
    def type(self) -> str | None:
        """The name of its type, if it has one."""
        found = self.root.get("type") if isinstance(self.root, dict) else None
        return found if isinstance(found, str) else None


Known = Head | Text | Quiz | Image | Video | List | Flashcards
Widget = Known | Unknown

MODELS: dict[str, type[Known]] = {
    "head-1": Head,
    "text-1": Text,
    "quiz-1": Quiz,
    "image-1": Image,
    "video-1": Video,
    "list-1": List,
    "flashcards-1": Flashcards,
}


def read(raw: Any) -> Widget:
    """Return the model of a widget; one that does not fit the model of its type is kept as unknown."""
    name = raw.get("type") if isinstance(raw, dict) else None
    model = MODELS.get(name) if isinstance(name, str) else None
    if model is not None:
        try:
            return model.model_validate(raw)
        except ValidationError:
            # A newer Composer may have changed the type: then we carry it along and do not touch it.
            return Unknown(raw)
    return Unknown(raw)


def write(widget: Widget) -> Any:
    """Return the JSON of a widget: what was read, plus what was set since."""
    return widget.model_dump(mode="json", exclude_unset=True)


class Ids:
    """Ids for a widget and its parts, derived from the widget's own: the same input, the same ids."""

    def __init__(self, widget_id: str) -> None:
        self._widget_id = widget_id
        self._count = 0

    def next(self) -> str:
        """Return the next id."""
        self._count += 1
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._widget_id}/{self._count}"))


def from_element(element: lesson.Element, widget_id: str, media: str = MEDIA) -> Known:
    """Return the widget that shows an element of a lesson."""
    ids = Ids(widget_id)
    widget: Known
    match element:
        case lesson.Heading():
            widget = _head(element, widget_id, media)
        case lesson.Text():
            content = html.paragraphs(element.text) if element.text else html.sanitize(element.html or "")
            widget = Text(id=widget_id, content_title=element.title, content=content)
        case lesson.Quiz():
            widget = Quiz(
                id=widget_id, questions=[_question(question, ids) for question in element.questions]
            )
        case lesson.Image():
            widget = Image(
                id=widget_id, image=element.url, description=element.description, caption=element.caption
            )
        case lesson.Video():
            widget = Video(id=widget_id, content_title=element.title, video=element.url)
        case lesson.List():
            items = [{"id": ids.next(), "content": html.paragraphs(item)} for item in element.items]
            widget = List(id=widget_id, content_title=element.title, list_style=element.style, items=items)
        case lesson.Flashcards():
            cards = [
                {"id": ids.next(), "front": html.paragraphs(card.front), "back": html.paragraphs(card.back)}
                for card in element.cards
            ]
            widget = Flashcards(id=widget_id, content_title=element.title, cards=cards)
    # A new widget is complete: its defaults count as set, so that all of its fields are written.
    return type(widget).model_validate(widget.model_dump())


def _head(element: lesson.Heading, widget_id: str, media: str) -> Head:
    colours = {
        name: value
        for name in ("primary_color", "secondary_color")
        if (value := getattr(element, name)) is not None
    }
    return Head(
        id=widget_id,
        content_title=element.title,
        category=html.paragraphs(element.category) if element.category else "",
        author_name=html.paragraphs(element.author_name) if element.author_name else "",
        author_office=html.paragraphs(element.author_office) if element.author_office else None,
        show_category=element.category is not None,
        show_author_name=element.author_name is not None,
        background_image=element.background_image or f"{media}/head-1/background.png",
        avatar=element.avatar or f"{media}/head-1/avatar.png",
        **colours,
    )


def _question(question: lesson.Question, ids: Ids) -> Question:
    return Question(
        id=ids.next(),
        question=html.paragraphs(question.question),
        choices=[
            Choice(id=ids.next(), correct=choice.correct, text=html.paragraphs(choice.text))
            for choice in question.choices
        ],
    )
