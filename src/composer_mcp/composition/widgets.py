"""The widgets of a Composer document, field by field, and how they are read.

Head, Text and Quiz are as seen in captured documents; what is known by name only is in ``unconfirmed``.
How an element of a lesson becomes a widget is in ``building``.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ValidationError

from composer_mcp.composition.parts import Part
from composer_mcp.composition.unconfirmed import (
    Feedback,
    Flashcards,
    Gallery,
    Hotspots,
    Image,
    List,
    Video,
)


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


class Choice(Feedback):
    """One possible answer of a quiz question."""

    id: str
    correct: bool
    text: str


class Question(Feedback):
    """One question of a quiz; the key is ``choices``, never ``answers``."""

    id: str
    question: str
    choices: list[Choice]


class Quiz(Part):
    """``quiz-1``: multiple choice (partly known)."""

    id: str
    type: Literal["quiz-1"] = "quiz-1"
    questions: list[Question]


class Unknown:
    """Whatever else stands in a document, kept as it is."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    @property
    def id(self) -> str | None:
        """Its id, if it has one."""
        return id_of(self.raw)

    @property
    def type(self) -> str | None:
        """The name of its type, if it has one."""
        found = self.raw.get("type") if isinstance(self.raw, dict) else None
        return found if isinstance(found, str) else None


Known = Head | Text | Quiz | Image | Video | List | Flashcards | Gallery | Hotspots
Widget = Known | Unknown

MODELS: dict[str, type[Known]] = {
    "head-1": Head,
    "text-1": Text,
    "quiz-1": Quiz,
    "image-1": Image,
    "video-1": Video,
    "list-1": List,
    "flashcards-1": Flashcards,
    "gallery-1": Gallery,
    "hotspots-1": Hotspots,
}
#: The types whose fields are guessed: see ``unconfirmed``.
UNCONFIRMED = frozenset(MODELS) - {"head-1", "text-1", "quiz-1"}


def id_of(raw: Any) -> str | None:
    """Return the id of a widget as it stands in a document, if it has one."""
    found = raw.get("id") if isinstance(raw, dict) else None
    return found if isinstance(found, str) else None


def read(raw: Any) -> Widget:
    """Return a view of a widget; one that does not fit the model of its type is unknown."""
    name = raw.get("type") if isinstance(raw, dict) else None
    model = MODELS.get(name) if isinstance(name, str) else None
    if model is not None:
        try:
            return model.model_validate(raw)
        except ValidationError:
            # A newer Composer may have changed the type: then we carry it along and do not touch it.
            return Unknown(raw)
    return Unknown(raw)
