"""A job, shown as a task: what ``tasks/get`` answers and what is pushed, the same object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, CallToolResult

from composer_mcp.jobs.engine import JobRecord, JobState

#: What the tool that made a job answers, now that the job is finished. An ``MCPError`` means that the call
#: would have ended with that error of the protocol instead of a result.
Render = Callable[[JobRecord], Awaitable[CallToolResult]]

STATUS = {
    JobState.QUEUED: "working",
    JobState.RUNNING: "working",
    JobState.INPUT_REQUIRED: "input_required",
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "completed",
    JobState.CANCELLED: "cancelled",
}
#: Bounds of the interval at which a client is advised to ask, in seconds.
SOONEST, LATEST = 0.1, 10.0
#: Where a person is waited for, nothing changes by itself.
WAITING_FOR_INPUT = 5.0
#: What takes longer than expected is asked for ever less often: after this part of the time it has taken.
OVERDUE_PART = 0.1


def summary(record: JobRecord, expected_seconds: float) -> dict[str, Any]:
    """Return what every task shows: id, status, times, and when to ask again."""
    task: dict[str, Any] = {"taskId": str(record.id), "status": STATUS[record.state]}
    message = _message(record)
    if message:
        task["statusMessage"] = message
    task["createdAt"] = _moment(record.created_at)
    task["lastUpdatedAt"] = _moment(record.updated_at)
    expires_at = record.expires_at
    task["ttlMs"] = None if expires_at is None else _milliseconds(expires_at - record.created_at)
    if not record.state.finished:
        task["pollIntervalMs"] = _milliseconds(poll_interval(record, expected_seconds))
    return task


async def detailed(record: JobRecord, expected_seconds: float, render: Render) -> dict[str, Any]:
    """Return a task with what its status adds: the requests it waits for, its result, or its error.

    Raises:
        MCPError: -32603; the task is completed, but its result cannot be read now.
    """
    task = summary(record, expected_seconds)
    if record.state is JobState.INPUT_REQUIRED:
        task["inputRequests"] = record.input_requests or {}
    if record.state in {JobState.SUCCEEDED, JobState.FAILED}:
        try:
            result = await render(record)
        except MCPError as error:
            task |= {"status": "failed", "statusMessage": error.message}
            task["error"] = error.error.model_dump(mode="json", exclude_none=True)
            return task
        if result.is_error and record.state is JobState.SUCCEEDED:
            # To show this as the result would make a passing trouble final.
            raise MCPError(
                INTERNAL_ERROR,
                "The task is completed, but its result cannot be read now. Ask again in some seconds.",
                result.structured_content,
            )
        task["result"] = result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return task


def _message(record: JobRecord) -> str:
    match record.state:
        case JobState.QUEUED:
            return "Waiting for a worker"
        case JobState.RUNNING if record.progress_message:
            return f"{record.progress_message} ({record.progress:.0%})"
        case JobState.INPUT_REQUIRED:
            return f"Waiting for an answer to: {', '.join(record.input_requests or ())}"
    return ""


def poll_interval(record: JobRecord, expected_seconds: float) -> timedelta:
    """Return after which time it is worth while to ask again for a task that has not ended."""
    if record.state is JobState.INPUT_REQUIRED:
        return timedelta(seconds=WAITING_FOR_INPUT)
    begun = record.started_at if record.state is JobState.RUNNING else None
    passed = (datetime.now(UTC) - (begun or record.created_at)).total_seconds()
    left = expected_seconds - passed if begun else expected_seconds
    return timedelta(seconds=min(LATEST, max(SOONEST, left, passed * OVERDUE_PART)))


def _milliseconds(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
