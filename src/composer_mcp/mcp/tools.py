"""The tools. Each validates, submits one job, waits and reports; none knows how the job is done."""

from __future__ import annotations

import base64
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import BaseModel, Field, StringConstraints

from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.errors import ComposerError
from composer_mcp.jobs.engine import JobRecord, JobState
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
from composer_mcp.mcp.services import Services
from composer_mcp.observability.access import correlation_id
from composer_mcp.security import caller

if TYPE_CHECKING:
    from mcp.server import MCPServer

#: A larger picture is not sent along; its key is in the structured content.
PICTURE_LIMIT_BYTES = 5 * 1024 * 1024

READS = ToolAnnotations(read_only_hint=True, open_world_hint=True)
CREATES = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True
)
CHANGES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
)
LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)

Result = TypeVar("Result", CompositionSaved, CompositionRead, Preview, Versions)
Call = Context[Services, Any]
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


async def create_composition(lesson: Lesson, call: Call, idempotency_key: Key = None) -> CompositionSaved:
    """Create a composition in Composer from a complete lesson.

    Returns its uid and the address where a person opens it. Repeating the call with the same
    idempotency_key returns the composition made the first time, with created = false.
    """
    result, repeated = await _run(call, CreateComposition(lesson=lesson), idempotency_key, CompositionSaved)
    return result.model_copy(update={"created": False}) if repeated else result


async def get_composition(uid: Uid, call: Call) -> CompositionRead:
    """Read a composition: title, version and the whole document with all widgets and their ids."""
    return (await _run(call, GetComposition(uid=uid), None, CompositionRead))[0]


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
) -> CompositionSaved:
    """Change a composition: title, description, author, tags, or single widgets; the rest stays as it is."""
    request = UpdateComposition(uid=uid, change=change, expected_version=expected_version)
    return (await _run(call, request, idempotency_key, CompositionSaved))[0]


async def preview_composition(uid: Uid, call: Call) -> Annotated[CallToolResult, Preview]:
    """Open a composition in the real editor; return a picture of it, and errors that the page reported."""
    preview, _ = await _run(call, PreviewComposition(uid=uid), None, Preview)
    picture = await call.request_context.lifespan_context.artifacts.get(preview.picture)
    content: list[TextContent | ImageContent] = [
        TextContent(type="text", text=preview.model_dump_json(indent=2))
    ]
    if len(picture) <= PICTURE_LIMIT_BYTES:
        data = base64.b64encode(picture).decode()
        content.insert(0, ImageContent(type="image", data=data, mime_type="image/png"))
    return CallToolResult(content=[*content], structured_content=preview.model_dump(mode="json"))


async def list_versions(uid: Uid, call: Call) -> Versions:
    """List the saved versions of a composition, newest first."""
    return (await _run(call, ListVersions(uid=uid), None, Versions))[0]


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


async def _run(
    call: Call, request: AnyRequest, key: str | None, expected: type[Result]
) -> tuple[Result, bool]:
    """Submit a job, pass its progress on, return its result and whether an earlier call had submitted it."""
    engine = call.request_context.lifespan_context.engine
    tenant = caller.current.get().tenant
    submission = await engine.submit(tenant, key or uuid.uuid4().hex, request, correlation_id.get())
    furthest = -1.0

    async def on_progress(fraction: float, message: str) -> None:
        # The protocol wants progress to increase; after a take-over a job starts over.
        nonlocal furthest
        if fraction > furthest:
            furthest = fraction
            await call.report_progress(fraction, 1.0, message)

    try:
        record: JobRecord = await engine.wait(submission.job_id, on_progress)
        result = record.outcome()
    except ComposerError as error:
        error.details.setdefault("job_id", str(submission.job_id))
        raise
    if not isinstance(result, expected):
        raise TypeError(f"job {submission.job_id} returned {type(result).__name__}")
    return result, not submission.created


def register(server: MCPServer[Services]) -> None:
    """Add all tools to a server."""
    server.add_tool(create_composition, title="Create a composition", annotations=CREATES)
    server.add_tool(get_composition, title="Read a composition", annotations=READS)
    server.add_tool(update_composition, title="Change a composition", annotations=CHANGES)
    server.add_tool(preview_composition, title="Preview a composition", annotations=READS)
    server.add_tool(list_versions, title="List versions of a composition", annotations=READS)
    server.add_tool(get_job, title="Look at a job", annotations=LOOKS)
