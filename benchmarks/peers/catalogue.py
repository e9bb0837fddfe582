"""The tool that every server of the protocol bench offers, word for word the same: no job, no waiting.

Beside it as many further tools as wanted, so that all servers carry the same number. Imports nothing but
pydantic, because each server lives in an environment of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from pydantic import BaseModel, Field

NAMES = {
    "head-1": "title page with author, picture and colours",
    "text-1": "rich text in paragraphs, lists and tables",
    "quiz-1": "multiple choice with feedback",
    "video-1": "player for a film",
    "flashcards-1": "cards with a front and a back",
    "hotspots-1": "points on a picture",
    "list-1": "numbered, with bullets, or to tick off",
    "gallery-1": "pictures as slides",
    "image-1": "one picture",
    "statement-1": "a sentence that stands out",
}

Tool = Callable[..., Awaitable["Catalogue"]]


class Widget(BaseModel):
    """One kind of building block."""

    type: str = Field(description="as documents write it")
    purpose: str
    fields: dict[str, str] = Field(description="name and form of each field")


class Catalogue(BaseModel):
    """What a lesson can be built from."""

    language: Literal["pt_BR", "en"]
    widgets: list[Widget]


async def widget_catalogue(
    language: Annotated[Literal["pt_BR", "en"], Field(description="of the labels")] = "pt_BR",
    search: Annotated[str, Field(max_length=200, description="only widgets whose purpose has this")] = "",
) -> Catalogue:
    """List the widgets that a lesson can be built from, each with its fields."""
    return Catalogue(
        language=language,
        widgets=[
            Widget(
                type=name,
                purpose=purpose,
                fields={"content_title": "text or null", "background_color": "#rrggbb", "content": "html"},
            )
            for name, purpose in NAMES.items()
            if search in purpose
        ],
    )


def further_tool(number: int) -> Tool:
    """Return one more tool of ordinary size, with a name of its own."""

    async def tool(
        uid: Annotated[str, Field(min_length=8, max_length=2000, description="of the composition")],
        title: Annotated[str | None, Field(max_length=300, description="left out: unchanged")] = None,
        tags: Annotated[
            list[str] | None, Field(max_length=50, description="all of them, not the new")
        ] = None,
        position: Annotated[int, Field(ge=0, description="0 is the beginning")] = 0,
    ) -> Catalogue:
        return Catalogue(
            language="en", widgets=[Widget(type=uid, purpose=str((title, tags, position)), fields={})]
        )

    tool.__name__ = f"further_tool_{number}"
    tool.__doc__ = f"Change one aspect of a composition, number {number}, and return what it is made of."
    return tool


def tools(count: int) -> list[Tool]:
    """Return so many tools; the measured one is the first."""
    return [widget_catalogue, *(further_tool(number) for number in range(1, count))][:count]
