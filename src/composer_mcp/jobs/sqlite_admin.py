"""Jobs for operators of a server that runs alone; see ``JobAdmin`` for the promises.

Works on the file, also while another process (the server) has it: that one looks every second whether it
still owns what it does, and every other second for what was queued beside it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from composer_mcp.errors import JOB_UNKNOWN
from composer_mcp.jobs import admin, sqlite_jobs
from composer_mcp.jobs.admin import Filter, JobDetail, JobSummary, Repeated
from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.overload import Appointments
from composer_mcp.jobs.rules import refused
from composer_mcp.jobs.slots import is_interactive
from composer_mcp.observability.tracing import split
from composer_mcp.store.job_evidence import SqliteJobEvidence

if TYPE_CHECKING:
    from composer_mcp.settings import QueueSettings
    from composer_mcp.store.sqlite import Sqlite

COLUMNS = """
select id, tenant, kind, state, created_at, started_at, finished_at, epoch, error,
       json_extract(history, '$[#-1].worker') as worker, idempotency_key, correlation_id, progress,
       progress_message, deadline, first_started_at, history, input_requests
from job
"""
CONDITIONS = {
    "tenant": "tenant = ?",
    "state": "state = ?",
    "kind": "kind = ?",
    "code": "json_extract(error, '$.code') = ?",
    "before": "(created_at, id) < (select created_at, id from job where id = ?)",
}
NEWEST_FIRST = "order by created_at desc, id desc limit ?"
ONE = "where id = ?"
BY_KEY = "select id, state from job where tenant = ? and idempotency_key = ?"


class SqliteJobAdmin:
    """Reads and changes the ``job`` table for operators.

    ``cancel`` is how the process that does the jobs ends one at once, where this is that process.
    """

    def __init__(
        self,
        database: Sqlite,
        queue: QueueSettings,
        cancel: Callable[[str, UUID], Awaitable[object]] | None = None,
    ) -> None:
        self._cancel = cancel
        self._database = database
        self._queue = queue
        self._appointments = Appointments(lambda: database.run(sqlite_jobs.pace))

    async def list(self, which: Filter) -> list[JobSummary]:
        """See :class:`~composer_mcp.jobs.admin.JobAdmin`."""
        given = admin.conditions(which)
        if which.before is not None:
            given["before"] = str(which.before)
            await self._find(which.before)
        where = ["where", " and ".join(CONDITIONS[name] for name in given)] if given else []
        statement = " ".join([COLUMNS, *where, NEWEST_FIRST])
        values = (*given.values(), min(which.limit, admin.LIST_LIMIT))
        rows = await self._database.run(lambda connection: connection.execute(statement, values).fetchall())
        return [_summary(row) for row in rows]

    async def show(self, job_id: UUID) -> JobDetail:
        """See :class:`~composer_mcp.jobs.admin.JobAdmin`."""
        row = await self._find(job_id)
        newer = await self._newer(row)
        summary = _summary(row)
        return JobDetail(
            summary=summary,
            idempotency_key=admin.base_key(row["idempotency_key"], job_id),
            correlation_id=split(row["correlation_id"])[0],
            progress=row["progress"],
            progress_message=row["progress_message"],
            deadline=_moment(row["deadline"]),
            first_started_at=_moment_or_none(row["first_started_at"]),
            attempts=admin.attempts_of(
                json.loads(row["history"]), summary.state, summary.error_code, summary.finished_at, _moment
            ),
            asks=list(json.loads(row["input_requests"] or "{}")),
            error=row["error"] and json.loads(row["error"]),
            repeated_as=newer and newer[0],
            evidence=await SqliteJobEvidence(self._database).of(job_id),
        )

    async def cancel(self, job_id: UUID) -> JobDetail:
        """See :class:`~composer_mcp.jobs.admin.JobAdmin`."""
        row = await self._find(job_id)
        if self._cancel is not None:
            await self._cancel(row["tenant"], job_id)
            return await self.show(job_id)
        await self._database.run(
            lambda connection: sqlite_jobs.cancel(connection, row["tenant"], job_id),
            "The job may or may not be cancelled; cancelling it again does no harm.",
        )
        return await self.show(job_id)

    async def repeat(self, job_id: UUID, correlation_id: str) -> Repeated:
        """See :class:`~composer_mcp.jobs.admin.JobAdmin`."""
        row = await self._find(job_id)
        tenant, state = row["tenant"], JobState(row["state"])
        if state is not JobState.FAILED:
            raise admin.not_failed(job_id, state)
        if (newer := await self._newer(row)) is not None:
            reason = admin.repeated_already(job_id, *newer)
            if reason is not None:
                raise reason
            return Repeated(newer[0], tenant, created=False)
        accepted = await self._database.run(
            lambda connection: sqlite_jobs.again(
                connection, self._queue, job_id, row["idempotency_key"], correlation_id, time.time()
            ),
            "The job may or may not be queued again; repeating it once more does no harm.",
        )
        if accepted is None:
            # Somebody else was faster.
            return await self.repeat(job_id, correlation_id)
        if accepted.entry is None:
            raise refused(
                self._queue,
                tenant_full=accepted.tenant_full,
                waiting=accepted.waiting,
                retry_after=await self._appointments.retry_after(tenant if accepted.tenant_full else None),
            )
        return Repeated(accepted.entry.job_id, tenant, created=accepted.outcome == "repeated")

    async def _find(self, job_id: UUID) -> sqlite3.Row:
        statement = " ".join([COLUMNS, ONE])
        row: sqlite3.Row | None = await self._database.run(
            lambda connection: connection.execute(statement, (str(job_id),)).fetchone()
        )
        if row is None:
            raise self._unknown(job_id)
        return row

    async def _newer(self, row: sqlite3.Row) -> tuple[UUID, JobState] | None:
        """Return the job that has taken over this one's key, and its state."""
        base = admin.base_key(row["idempotency_key"], UUID(row["id"]))
        if base == row["idempotency_key"]:
            return None
        newer = await self._database.run(
            lambda connection: connection.execute(BY_KEY, (row["tenant"], base)).fetchone()
        )
        return newer and (UUID(newer["id"]), JobState(newer["state"]))

    def _unknown(self, job_id: UUID) -> Exception:
        return JOB_UNKNOWN.error(job_id=str(job_id), days=self._queue.retention_days)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _moment_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _moment(seconds)


def _summary(row: sqlite3.Row) -> JobSummary:
    error: dict[str, Any] = json.loads(row["error"] or "{}")
    code = error.get("code")
    return JobSummary(
        job_id=UUID(row["id"]),
        tenant=row["tenant"],
        kind=row["kind"],
        state=JobState(row["state"]),
        dead=code == admin.DEAD,
        short=is_interactive(row["kind"]),
        created_at=_moment(row["created_at"]),
        started_at=_moment_or_none(row["started_at"]),
        finished_at=_moment_or_none(row["finished_at"]),
        attempts=row["epoch"],
        error_code=code,
        worker=row["worker"],
    )
