"""Jobs for operators on PostgreSQL; see ``JobAdmin`` for the promises."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import asyncpg

from composer_mcp.errors import JOB_UNKNOWN, STORE_UNAVAILABLE
from composer_mcp.jobs import admin
from composer_mcp.jobs.admin import Filter, JobDetail, JobSummary, Repeated
from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.requests import KINDS
from composer_mcp.observability.tracing import split
from composer_mcp.store import database
from composer_mcp.store.job_evidence import PostgresJobEvidence
from composer_mcp.store.patience import patiently

if TYPE_CHECKING:
    from composer_mcp.jobs.postgres_engine import PostgresJobEngine

T = TypeVar("T")

COLUMNS = """
select id, tenant, kind, class, state, created_at, started_at, finished_at, epoch, error,
       history -> -1 ->> 'worker' as worker, idempotency_key, correlation_id, progress, progress_message,
       deadline, first_started_at, history, input_requests
from job
"""
#: By what the list is narrowed; each is one more parameter.
CONDITIONS = {
    "tenant": "tenant = ${}",
    "state": "state = ${}",
    "kind": "kind = ${}",
    "code": "error ->> 'code' = ${}",
    "before": "(created_at, id) < (select created_at, id from job where id = ${})",
}
NEWEST_FIRST = "order by created_at desc, id desc limit ${}"
ONE = "where id = $1"
BY_KEY = "select id, state from job where tenant = $1 and idempotency_key = $2"
#: Accepts it once more, whatever ended it, with everything that was kept of it.
AGAIN = """
select answer.* from job cross join lateral job_accept(
    job.tenant, job.idempotency_key, job.kind, job.arguments, job.arguments_hash, job.class,
    $3, $4, $5, $6, $7, true
) answer where job.id = $1 and job.idempotency_key = $2
"""


class PostgresJobAdmin:
    """Reads and changes the ``job`` table for operators."""

    def __init__(self, engine: PostgresJobEngine) -> None:
        self._engine = engine
        self._pool = engine.pool

    async def list(self, which: Filter) -> list[JobSummary]:
        """See :class:`~composer_mcp.jobs.admin.JobAdmin`."""
        given = admin.conditions(which)
        if which.before is not None:
            await self._find(which.before)
        conditions = [CONDITIONS[name].format(place) for place, name in enumerate(given, 1)]
        where = ["where", " and ".join(conditions)] if conditions else []
        statement = " ".join([COLUMNS, *where, NEWEST_FIRST.format(len(given) + 1)])
        rows = await self._ask(
            lambda: self._pool.fetch(statement, *given.values(), min(which.limit, admin.LIST_LIMIT))
        )
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
            deadline=row["deadline"],
            first_started_at=row["first_started_at"],
            attempts=admin.attempts_of(
                json.loads(row["history"]),
                summary.state,
                summary.error_code,
                summary.finished_at,
                datetime.fromisoformat,
            ),
            asks=list(json.loads(row["input_requests"] or "{}")),
            error=row["error"] and json.loads(row["error"]),
            repeated_as=newer and newer["id"],
            evidence=await PostgresJobEvidence(self._pool).of(job_id),
        )

    async def cancel(self, job_id: UUID) -> JobDetail:
        """See :class:`~composer_mcp.jobs.admin.JobAdmin`."""
        row = await self._find(job_id)
        await self._engine.cancel(row["tenant"], job_id)
        return await self.show(job_id)

    async def repeat(self, job_id: UUID, correlation_id: str) -> Repeated:
        """See :class:`~composer_mcp.jobs.admin.JobAdmin`."""
        row = await self._find(job_id)
        tenant, state = row["tenant"], JobState(row["state"])
        if state is not JobState.FAILED:
            raise admin.not_failed(job_id, state)
        if (newer := await self._newer(row)) is not None:
            refused = admin.repeated_already(job_id, newer["id"], JobState(newer["state"]))
            if refused is not None:
                raise refused
            return Repeated(newer["id"], tenant, created=False)
        queue = self._engine.queue
        kind = KINDS.get(row["kind"])
        answer = await patiently(
            lambda: self._pool.fetchrow(
                AGAIN,
                job_id,
                row["idempotency_key"],
                1 if kind is None else kind.cost,
                timedelta(seconds=queue.deadline_seconds),
                queue.per_tenant_limit,
                queue.total_limit,
                correlation_id,
            ),
            "The job may or may not be queued again; repeating it once more does no harm.",
        )
        if answer is None:
            # Somebody else was faster.
            return await self.repeat(job_id, correlation_id)
        if answer["outcome"] in {"tenant_full", "queue_full"}:
            raise await self._engine.refused(tenant, answer["outcome"], answer["waiting"])
        return Repeated(answer["job_id"], tenant, created=answer["outcome"] == "repeated")

    async def _find(self, job_id: UUID) -> asyncpg.Record:
        row = await self._ask(lambda: self._pool.fetchrow(" ".join([COLUMNS, ONE]), job_id))
        if row is None:
            raise self._unknown(job_id)
        return row

    async def _newer(self, row: asyncpg.Record) -> asyncpg.Record | None:
        """Return the job that has taken over this one's key."""
        base = admin.base_key(row["idempotency_key"], row["id"])
        if base == row["idempotency_key"]:
            return None
        return await self._ask(lambda: self._pool.fetchrow(BY_KEY, row["tenant"], base))

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        try:
            return await question()
        except database.UNREACHABLE as error:
            raise STORE_UNAVAILABLE.error(store="database", state="The jobs go on.") from error

    def _unknown(self, job_id: UUID) -> Exception:
        return JOB_UNKNOWN.error(job_id=str(job_id), days=self._engine.queue.retention_days)


def _summary(row: asyncpg.Record) -> JobSummary:
    error: dict[str, Any] = json.loads(row["error"] or "{}")
    code = error.get("code")
    return JobSummary(
        job_id=row["id"],
        tenant=row["tenant"],
        kind=row["kind"],
        state=JobState(row["state"]),
        dead=code == admin.DEAD,
        short=row["class"] == 0,
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        attempts=row["epoch"],
        error_code=code,
        worker=row["worker"],
    )
