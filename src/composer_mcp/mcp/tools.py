"""The tools. Each validates, submits one job, waits and reports; none knows how the job is done."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, Field, StringConstraints

from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.requests import (
    AnyRequest,
    CompositionRead,
    CompositionSaved,
    CreateComposition,
    GetComposition,
    ListVersions,
    Preview,
    PreviewComposition,
    UpdateComposition,
    Versions,
)
from composer_mcp.mcp.calls import Call, run
from composer_mcp.mcp.results import tool_result
from composer_mcp.security import caller

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from composer_mcp.mcp.services import Services

READS = ToolAnnotations(read_only_hint=True, open_world_hint=True)
CREATES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True
)
CHANGES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
)
LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

Uid = Annotated[
    str,
    StringConstraints(min_length=8, max_length=2000, pattern=r"^[A-Za-z0-9_=-]+$"),
    Field(description="the composition's uid, as create_composition returned it"),
]
Key = Annotated[
    str | None,
    Field(
        min_length=8,
        max_length=200,
        pattern=r"^[\w.:-]+$",
        description="repeat a call with the same key and arguments, and it is not done a second time; "
        "random when left out",
    ),
]


class JobStatus(BaseModel):
    """A job as it is now."""

    job_id: uuid.UUID
    kind: str
    state: JobState
    progress: float = Field(description="0 to 1")
    message: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: CompositionSaved | CompositionRead | Preview | Versions | None = Field(
        description="what the call would have returned, once the job has succeeded"
    )
    error: dict[str, Any] | None = Field(description="code, message and remedy, once the job has failed")


async def create_composition(
    lesson: Lesson, call: Call, idempotency_key: Key = None
) -> Annotated[CallToolResult, CompositionSaved]:
    """Create a composition in Composer from a complete lesson.

    Returns its uid and the address where a person opens it. Repeating the call with the same
    idempotency_key returns the composition made the first time, with created = false.
    """
    return await _done(call, CreateComposition(lesson=lesson), idempotency_key)


async def get_composition(uid: Uid, call: Call) -> Annotated[CallToolResult, CompositionRead]:
    """Read a composition: title, version and the whole document with all widgets and their ids."""
    return await _done(call, GetComposition(uid=uid))


async def update_composition(
    uid: Uid,
    change: CompositionChange,
    call: Call,
    expected_version: Annotated[
        str | None,
        Field(
            max_length=200,
            description="the version you have read; the change is refused if someone saved another since",
        ),
    ] = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, CompositionSaved]:
    """Change a composition: title, description, author, tags, or single widgets; the rest stays as it is."""
    request = UpdateComposition(uid=uid, change=change, expected_version=expected_version)
    return await _done(call, request, idempotency_key)


async def preview_composition(uid: Uid, call: Call) -> Annotated[CallToolResult, Preview]:
    """Open a composition in the real editor; return a picture of it, and errors that the page reported."""
    return await _done(call, PreviewComposition(uid=uid))


async def list_versions(uid: Uid, call: Call) -> Annotated[CallToolResult, Versions]:
    """List the saved versions of a composition, newest first."""
    return await _done(call, ListVersions(uid=uid))


async def get_job(job_id: uuid.UUID, call: Call) -> JobStatus:
    """Look at one of your jobs, for instance after a call that was accepted but not done in time."""
    record = await call.request_context.lifespan_context.engine.get(caller.current.get().tenant, job_id)
    return JobStatus(
        job_id=record.id,
        kind=record.kind,
        state=record.state,
        progress=1.0 if record.state is JobState.SUCCEEDED else record.progress,
        message=record.progress_message,
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        result=record.outcome() if record.state is JobState.SUCCEEDED else None,
        error=record.error,
    )


async def _done(call: Call, request: AnyRequest, key: str | None = None) -> CallToolResult:
    """Have a job done and answer with what it led to."""
    return await tool_result(await run(call, request, key), call.request_context.lifespan_context)


def register(server: MCPServer[Services]) -> None:
    """Add all tools to a server."""
    server.add_tool(create_composition, title="Create a composition", annotations=CREATES)
    server.add_tool(get_composition, title="Read a composition", annotations=READS)
    server.add_tool(update_composition, title="Change a composition", annotations=CHANGES)
    server.add_tool(preview_composition, title="Preview a composition", annotations=READS)
    server.add_tool(list_versions, title="List versions of a composition", annotations=READS)
    server.add_tool(get_job, title="Look at a job", annotations=LOOKS)
