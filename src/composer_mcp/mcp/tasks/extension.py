"""Serves the extension: turns calls into tasks; answers ``tasks/get``, ``tasks/update``, ``tasks/cancel``.

Any process answers for any task, because all that is known of one is read from the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from mcp.server.context import CallNext, HandlerResult
from mcp.server.extension import Extension, MethodBinding
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.engine import JobEngine, JobRecord, JobState
from composer_mcp.mcp.tasks import wire
from composer_mcp.mcp.tasks.acceptance import Accepted, deferred
from composer_mcp.mcp.tasks.view import Render, detailed, poll_interval, summary

#: How long a request waits for a task that is about to change.
MOMENT_SECONDS = 0.25


class TaskSupport(StrEnum):
    """Whether a tool's calls become tasks, for clients that declare the extension."""

    #: The call is always answered with its result.
    NEVER = "never"
    #: The call becomes a task; clients without the extension wait for the result.
    OPTIONAL = "optional"
    #: The call becomes a task; clients without the extension are refused.
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Backing:
    """What the application provides for one request: the engine, the caller's tenant, how results look.

    ``may_follow`` says whether the caller may ask for jobs; who may not is not given a task.
    """

    engine: JobEngine
    tenant: str
    render: Render
    may_follow: bool = True


class Tasks(Extension):
    """The extension; ``backing`` is asked at each request, ``support`` says which tools make tasks."""

    identifier = wire.IDENTIFIER

    def __init__(
        self, backing: Callable[[wire.Context], Backing], support: Mapping[str, TaskSupport] | None = None
    ) -> None:
        self._backing = backing
        self._support = dict(support or {})

    def declare(self, tool: str, support: TaskSupport) -> None:
        """Say whether calls of a tool become tasks; a tool that nobody declares makes none."""
        self._support[tool] = support

    def methods(self) -> Sequence[MethodBinding]:
        """Return the extension's methods; clients of earlier versions cannot know them."""
        versions = frozenset(MODERN_PROTOCOL_VERSIONS)
        return [
            MethodBinding("tasks/get", wire.TaskParams, self._get, versions),
            MethodBinding("tasks/update", wire.UpdateTaskParams, self._update, versions),
            MethodBinding("tasks/cancel", wire.TaskParams, self._cancel, versions),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: wire.Context, call_next: CallNext
    ) -> HandlerResult:
        """Answer a call with a task, once its job is durable; whatever else a tool answers passes through."""
        support = self._support.get(params.name, TaskSupport.NEVER)
        if support is TaskSupport.NEVER:
            return await call_next(ctx)
        if support is TaskSupport.REQUIRED:
            wire.require_extension(ctx)
        backing = self._backing(ctx)
        if not backing.may_follow or not wire.declares_extension(ctx):
            return await call_next(ctx)
        token = deferred.set(True)
        try:
            return await call_next(ctx)
        except Accepted as accepted:
            with _told():
                record = await backing.engine.get(backing.tenant, accepted.submission.job_id)
            expected = backing.engine.expected_seconds(record.kind)
            return {"resultType": "task", **summary(record, expected)}
        finally:
            deferred.reset(token)

    async def _get(self, context: wire.Context, params: wire.TaskParams) -> dict[str, Any]:
        backing, job_id = self._enter(context, params)
        with _told():
            record = await _imminent(await backing.engine.get(backing.tenant, job_id), backing)
        return {"resultType": "complete", **await _show(record, backing)}

    async def _update(self, context: wire.Context, params: wire.UpdateTaskParams) -> dict[str, Any]:
        backing, job_id = self._enter(context, params)
        with _told():
            record = await backing.engine.get(backing.tenant, job_id)
            answers = wire.check_responses(record.input_requests or {}, params.input_responses)
            if answers:
                await backing.engine.answer(backing.tenant, job_id, answers)
        return wire.ACKNOWLEDGED

    async def _cancel(self, context: wire.Context, params: wire.TaskParams) -> dict[str, Any]:
        backing, job_id = self._enter(context, params)
        with _told():
            await backing.engine.cancel(backing.tenant, job_id)
        return wire.ACKNOWLEDGED

    def _enter(self, context: wire.Context, params: wire.TaskParams) -> tuple[Backing, UUID]:
        """Check what every request on a task must fulfil."""
        wire.require_routing(context, params)
        wire.require_extension(context)
        return self._backing(context), wire.job_id(params.task_id)

    async def known(self, context: wire.Context, task_ids: Collection[str]) -> list[UUID]:
        """Return the jobs behind those of the ids that are tasks of the caller's.

        Raises:
            MCPError: -32021; the request does not declare the extension.
        """
        wire.require_extension(context)
        backing = self._backing(context)
        found = []
        for task_id in dict.fromkeys(task_ids):
            try:
                with _told():
                    record = await backing.engine.get(backing.tenant, wire.job_id(task_id))
            except MCPError as error:
                if error.code != INVALID_PARAMS:
                    raise
            else:
                found.append(record.id)
        return found

    async def updates(self, context: wire.Context, jobs: Collection[UUID]) -> AsyncIterator[JobRecord]:
        """Yield each task's job as it is now, and again whenever it changes; ends when all have ended.

        Raises:
            MCPError: -32603; the tasks cannot be followed now.
        """
        backing = self._backing(context)
        with _told():
            async for record in backing.engine.watch(backing.tenant, jobs):
                yield record

    async def shown(self, context: wire.Context, record: JobRecord) -> dict[str, Any]:
        """Return a task as ``tasks/get`` shows it; it may be megabytes, so ask when it is about to be sent.

        Raises:
            MCPError: -32603; the result cannot be read now.
        """
        with _told():
            return await _show(record, self._backing(context))


async def _imminent(record: JobRecord, backing: Backing) -> JobRecord:
    """Return what becomes of a job within a moment, or the job as it is.

    Who would have to ask again at once is answered a little later instead: it costs both sides less.
    """
    engine, latest = backing.engine, record
    if record.state not in {JobState.QUEUED, JobState.RUNNING}:
        return record
    if poll_interval(record, engine.expected_seconds(record.kind)).total_seconds() > MOMENT_SECONDS:
        return record
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MOMENT_SECONDS):
            async for latest in engine.watch(backing.tenant, [record.id]):
                if latest.state.finished or latest.state is JobState.INPUT_REQUIRED:
                    break
    return latest


async def _show(record: JobRecord, backing: Backing) -> dict[str, Any]:
    expected = backing.engine.expected_seconds(record.kind)
    return await detailed(record, expected, backing.render)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Report errors of the engine as errors of the protocol."""
    try:
        yield
    except ComposerError as error:
        wire.refuse(error)
