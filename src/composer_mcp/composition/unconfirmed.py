"""Widgets and fields that no captured document shows: the smallest sensible guess, kept in this one place.

Composer's editor is known to have these widgets, by name and purpose only: a video player, cards that flip,
points on a picture, lists (numbered, bullet, checkbox), slides, pictures. Quizzes are described as "multiple
choice with feedback", but the captured ones show none. When a real document shows how it is done,
a correction is made here, in ``tests/composer_standin``, and nowhere else.
"""

from __future__ import annotations

from typing import Literal

from composer_mcp.composition.parts import Part


class Feedback(Part):
    """Mixed into a quiz's question and choice: ``feedback`` is not confirmed by captured data.

    It is written only where a lesson has some, so that a quiz without is exactly as captured ones are.
    """

    feedback: str | None = None


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


class Item(Part):
    """One item of a list: not confirmed by captured data."""

    id: str
    content: str


class List(Part):
    """``list-1``: the fields are not confirmed by captured data."""

    id: str
    type: Literal["list-1"] = "list-1"
    content_title: str | None = None
    list_style: Literal["bullet", "numbered", "checkbox"] = "bullet"
    items: list[Item]


class Card(Part):
    """One flip card: not confirmed by captured data."""

    id: str
    front: str
    back: str


class Flashcards(Part):
    """``flashcards-1``: the fields are not confirmed by captured data."""

    id: str
    type: Literal["flashcards-1"] = "flashcards-1"
    content_title: str | None = None
    cards: list[Card]


class Slide(Part):
    """One slide of a gallery: not confirmed by captured data."""

    id: str
    image: str
    description: str
    caption: str | None = None


class Gallery(Part):
    """``gallery-1``: the fields are not confirmed by captured data."""

    id: str
    type: Literal["gallery-1"] = "gallery-1"
    content_title: str | None = None
    slides: list[Slide]


class Hotspot(Part):
    """One point of a picture, in percent of its width and height: not confirmed by captured data."""

    id: str
    x: float
    y: float
    title: str
    content: str | None = None


class Hotspots(Part):
    """``hotspots-1``: the fields are not confirmed by captured data."""

    id: str
    type: Literal["hotspots-1"] = "hotspots-1"
    content_title: str | None = None
    image: str
    description: str
    hotspots: list[Hotspot]
