"""The table of jobs on PostgreSQL, as an attempt sees it; see ``JobTable`` for the promises."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from composer_mcp.errors import STORE_UNAVAILABLE
from composer_mcp.jobs.table import Started
from composer_mcp.store.database import UNREACHABLE
from composer_mcp.store.patience import patiently

# ``owner`` and not the epoch is the fence: a start need not be on disk when the work begins, and a database
# that lost it in a crash gives the same epoch again.
START = """
with started as (
    update job set state = 'running', epoch = epoch + 1, attempts = attempts + 1, owner = $3,
                   started_at = clock_timestamp(), updated_at = clock_timestamp(),
                   first_started_at = coalesce(first_started_at, clock_timestamp())
    where id = $1 and generation = $2 and state in ('queued', 'running')
    returning id, owner, tenant, idempotency_key, kind, arguments, epoch, attempts, correlation_id,
              created_at, deadline, first_started_at, started_at, input_responses
) select started.*, pg_notify('composer_job', id::text) from started
"""
OWNED = "select true from job where id = $1 and owner = $2 and state = 'running'"
HOLD = """
update job set held_at = clock_timestamp() where id = $1 and owner = $2 and state = 'running' returning true
"""
PROGRESS = """
with changed as (
    update job set progress = $3, progress_message = $4, updated_at = clock_timestamp()
    where id = $1 and owner = $2 and state = 'running' returning id
) select pg_notify('composer_job', id::text) from changed
"""
FINISH = """
with done as (
    update job set state = $3, result = $4, error = $5, finished_at = clock_timestamp(),
                   updated_at = clock_timestamp()
    where id = $1 and owner = $2 and state = 'running' returning id
) select pg_notify('composer_job', id::text) from done
"""
ASK = """
with asked as (
    update job set state = 'input_required', input_requests = $3, updated_at = clock_timestamp(),
                   input_deadline = clock_timestamp() + $4::interval
    where id = $1 and owner = $2 and state = 'running' returning id
) select pg_notify('composer_job', id::text) from asked
"""


class PostgresJobTable:
    """Reads and writes rows of ``job`` for attempts of this process.

    Starts are taken from ``relaxed``, a pool whose commits need not be on disk: what matters is written
    durably by ``hold`` and by the end.
    """

    def __init__(self, pool: asyncpg.Pool, relaxed: asyncpg.Pool, input_seconds: float) -> None:
        self._pool = pool
        self._relaxed = relaxed
        self._input_limit = timedelta(seconds=input_seconds)

    async def start(self, job_id: UUID, generation: int) -> Started | None:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        # The same owner for all tries: one whose answer was lost may have taken the job.
        owner = uuid4()
        row = await patiently(
            lambda: self._relaxed.fetchrow(START, job_id, generation, owner), "The job is queued."
        )
        if row is None:
            return None
        values = {name: value for name, value in row.items() if name not in {"id", "pg_notify"}}
        values["inputs"] = json.loads(values.pop("input_responses") or "{}")
        return Started(job_id=job_id, **values)

    async def hold(self, job: Started) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        return bool(await patiently(lambda: self._pool.fetchval(HOLD, job.job_id, job.owner), ""))

    async def owned(self, job: Started) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        return bool(await patiently(lambda: self._relaxed.fetchval(OWNED, job.job_id, job.owner), ""))

    async def progress(self, job: Started, fraction: float, message: str) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        try:
            row = await self._relaxed.fetchrow(PROGRESS, job.job_id, job.owner, fraction, message)
        except UNREACHABLE as error:
            raise STORE_UNAVAILABLE.error(store="database", state="The job goes on.") from error
        return row is not None

    async def succeed(self, job: Started, result: str) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        return await self._end(job, "succeeded", result, None)

    async def fail(self, job: Started, error: dict[str, Any]) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        return await self._end(job, "failed", None, json.dumps(error, default=str))

    async def ask_input(self, job: Started, requests: dict[str, Any]) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        asked = json.dumps(requests)
        row = await patiently(
            lambda: self._pool.fetchrow(ASK, job.job_id, job.owner, asked, self._input_limit), ""
        )
        return row is not None

    async def _end(self, job: Started, state: str, result: str | None, error: str | None) -> bool:
        row = await patiently(
            lambda: self._pool.fetchrow(FINISH, job.job_id, job.owner, state, result, error), ""
        )
        return row is not None
