"""Make, find, read, change, copy and look at compositions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from mcp.server.mcpserver import Elicit, Resolve
from mcp_types import CallToolResult
from pydantic import AfterValidator, BaseModel, Field

from composer_mcp.browser.extent import Extent
from composer_mcp.composition.fields import Line
from composer_mcp.composition.json_values import in_utc
from composer_mcp.composition.lesson import CompositionChange, RemoveWidget, ReplaceWidget
from composer_mcp.composition.problems import check_change, check_lesson
from composer_mcp.errors import VERSION_NEEDED
from composer_mcp.jobs.requests import (
    CreateComposition,
    Detail,
    DuplicateComposition,
    GetComposition,
    PreviewComposition,
    UpdateComposition,
)
from composer_mcp.mcp import consent, preview_app
from composer_mcp.mcp.calls import Call
from composer_mcp.mcp.consent import AGREED, Confirm, Consent
from composer_mcp.mcp.results import success
from composer_mcp.mcp.schemas import CHANGE, CHANGES, CREATES, LESSON, LOOKS, READS, tool
from composer_mcp.mcp.tools.common import Expected, Key, Uid, done
from composer_mcp.mcp.views import CompositionView, PreviewView, SavedView
from composer_mcp.security import caller
from composer_mcp.store.compositions import short_id

Moment = Annotated[datetime, AfterValidator(in_utc)]
EXTENT = "the whole page, what fits the window (quicker, smaller), or none"


class Found(BaseModel):
    """One composition of a search."""

    id: str
    uid: str
    title: str
    description: str | None = None
    tags: list[str] | None = None
    updated_at: datetime


class FoundList(BaseModel):
    """Compositions, last changed first."""

    compositions: list[Found]
    next: datetime | None = Field(default=None, description="give as `before` for more")


async def create_composition(
    lesson: Annotated[dict[str, Any], LESSON], call: Call, idempotency_key: Key = None
) -> Annotated[CallToolResult, SavedView]:
    """Make a composition in Composer from a whole lesson, in one call.

    Returns its uid and the url where a person opens it.
    """
    return await done(call, CreateComposition(lesson=check_lesson(lesson)), idempotency_key)


async def search_compositions(
    call: Call,
    text: Annotated[Line | None, Field(description="words of title, description, author, tags")] = None,
    tag: Line | None = None,
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
    before: Annotated[Moment | None, Field(description="`next` of an earlier answer")] = None,
) -> Annotated[CallToolResult, FoundList]:
    """Find compositions made or edited here by your school, last changed first."""
    registry = call.request_context.lifespan_context.compositions
    entries = await registry.search(
        caller.current.get().tenant, text=text or "", tag=tag, limit=limit + 1, before=before
    )
    found = [
        Found(
            id=short_id(entry.uid),
            uid=entry.uid,
            title=entry.title,
            description=entry.description[:200] or None,
            tags=list(entry.tags) or None,
            updated_at=entry.updated_at,
        )
        for entry in entries[:limit]
    ]
    more = found[-1].updated_at if len(entries) > limit else None
    return success(FoundList(compositions=found, next=more))


async def get_composition(
    uid: Uid, call: Call, detail: Detail = "outline"
) -> Annotated[CallToolResult, CompositionView]:
    """Read a composition: its outline with the widgets' ids and the version, or the full document."""
    return await done(call, GetComposition(uid=uid, detail=detail))


async def _checked(change: dict[str, Any], expected_version: Expected) -> CompositionChange:
    """Refuse what cannot be done before anybody is asked about it."""
    checked = check_change(change)
    if expected_version is None and checked.overwrites:
        raise VERSION_NEEDED.error(what=", ".join(checked.overwrites))
    return checked


async def _agreed(
    call: Call, confirm: bool, checked: Annotated[CompositionChange, Resolve(_checked)]
) -> Elicit[Consent] | Consent:
    """Ask before a change that takes content away; one that only adds or moves needs no question."""
    removed = sum(isinstance(step, RemoveWidget) for step in checked.widgets)
    replaced = sum(isinstance(step, ReplaceWidget) for step in checked.widgets)
    if not removed and not replaced:
        return AGREED
    step = (
        f"Remover {removed} e substituir {replaced} elemento(s) da composição? / "
        f"Remove {removed} and replace {replaced} widget(s) of the composition?"
    )
    return consent.ask(call, step, confirm=confirm)


async def update_composition(
    uid: Uid,
    change: Annotated[dict[str, Any], CHANGE],
    call: Call,
    checked: Annotated[CompositionChange, Resolve(_checked)],
    answer: Annotated[consent.Answer, Resolve(_agreed)],
    expected_version: Expected = None,
    confirm: Confirm = False,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, SavedView]:
    """Change title, description, author, tags or single widgets; the rest stays as it is.

    Needs expected_version, unless it only adds widgets.
    """
    consent.require(answer)
    request = UpdateComposition(uid=uid, change=checked, expected_version=expected_version)
    return await done(call, request, idempotency_key)


async def duplicate_composition(
    uid: Uid, call: Call, title: Line | None = None, idempotency_key: Key = None
) -> Annotated[CallToolResult, SavedView]:
    """Make a copy of a composition, under its own title unless another is given."""
    return await done(call, DuplicateComposition(uid=uid, title=title), idempotency_key)


async def preview_composition(
    uid: Uid, call: Call, picture: Annotated[Extent, Field(description=EXTENT)] = "page"
) -> Annotated[CallToolResult, PreviewView]:
    """Open a composition in the real editor: picture, load time, errors of page and network."""
    return await done(call, PreviewComposition(uid=uid, picture=picture))


TOOLS = [
    tool(create_composition, "Create a composition", CREATES),
    tool(search_compositions, "Find compositions", LOOKS),
    tool(get_composition, "Read a composition", READS),
    tool(update_composition, "Change a composition", CHANGES),
    tool(duplicate_composition, "Copy a composition", CREATES),
    tool(preview_composition, "Preview a composition", READS, meta=preview_app.META),
]
