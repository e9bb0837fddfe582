"""The table of jobs on PostgreSQL, as an attempt sees it; see ``JobTable`` for the promises."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg

from composer_mcp.composition.json_values import storable
from composer_mcp.errors import STORE_UNAVAILABLE
from composer_mcp.jobs.slots import worker_name
from composer_mcp.jobs.table import Started
from composer_mcp.store.batches import Batches
from composer_mcp.store.database import UNREACHABLE
from composer_mcp.store.patience import patiently

# ``owner`` and not the epoch is the fence: a start need not be on disk when the work begins, and a database
# that lost it in a crash gives the same epoch again.
# Also written in ``thrifty_queue``. Not announced: an attempt announces its progress soon, and most are over
# before.
STARTED = (
    "owner", "tenant", "idempotency_key", "kind", "arguments", "epoch", "attempts", "correlation_id",
    "created_at", "deadline", "first_started_at", "started_at", "input_responses",
)  # fmt: skip
START = """
update job set state = 'running', epoch = epoch + 1, attempts = attempts + 1, owner = $3,
               started_at = clock_timestamp(), updated_at = clock_timestamp(),
               first_started_at = coalesce(first_started_at, clock_timestamp()),
               history = job_history_begun(history, epoch + 1, $4)
where id = $1 and generation = $2 and state in ('queued', 'running')
returning owner, tenant, idempotency_key, kind, arguments, epoch, attempts, correlation_id,
          created_at, deadline, first_started_at, started_at, input_responses
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
# The job's entry leaves the queue in the same moment. A small record is announced as a whole, so that those
# who wait need not read it.
FINISH = """
with done as (
    update job set state = ending.state, result = ending.result::json, error = ending.error::jsonb,
                   finished_at = clock_timestamp(), updated_at = clock_timestamp()
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])
         as ending(id, owner, state, result, error)
    where job.id = ending.id and job.owner = ending.owner and job.state = 'running'
    returning job.*
), gone as (
    delete from pgqueuer using done
    where dedupe_key = done.id || ':' || done.generation
      and status = any(array['queued', 'picked']::pgqueuer_status[])
), told as (
    select id, id::text || json_build_object(
        'tenant', tenant, 'kind', kind, 'state', state, 'progress', progress,
        'progress_message', progress_message, 'created_at', created_at, 'updated_at', updated_at,
        'started_at', started_at, 'finished_at', finished_at, 'result', result, 'error', error
    )::text as record from done
)
select id, case when octet_length(record) < 7900 then pg_notify('composer_record', record) end,
       pg_notify('composer_job', id::text)
from told
"""
ASK = """
with asked as (
    update job set state = 'input_required', input_requests = $3, updated_at = clock_timestamp(),
                   input_deadline = clock_timestamp() + $4::interval,
                   history = job_history_ended(history, 'input_required')
    where id = $1 and owner = $2 and state = 'running' returning id, generation
), gone as (
    delete from pgqueuer using asked
    where dedupe_key = asked.id || ':' || asked.generation
      and status = any(array['queued', 'picked']::pgqueuer_status[])
) select pg_notify('composer_job', id::text) from asked
"""


class End(NamedTuple):
    """The end of one job, as FINISH takes it."""

    job_id: UUID
    owner: UUID
    state: str
    result: str | None
    error: str | None


class PostgresJobTable:
    """Reads and writes rows of ``job`` for attempts of this process.

    Starts are written through ``relaxed``, a pool whose commits need not be on disk: what matters is written
    durably by ``hold`` and by the end. Together with the queue of the same process, which starts jobs as it
    fetches them and need not be told of their end, it saves two questions a job.
    """

    def __init__(self, pool: asyncpg.Pool, relaxed: asyncpg.Pool, input_seconds: float) -> None:
        self._pool = pool
        self._relaxed = relaxed
        #: By what name an operator finds this process.
        self.worker = worker_name()
        self._input_limit = timedelta(seconds=input_seconds)
        self._started: dict[str, Started] = {}
        self._ended: set[str] = set()
        self._ends = Batches(self._finish, common=UNREACHABLE)
        #: Called with each entry that has left the queue.
        self.on_end: Callable[[str], None] = _ignore

    def claimed(self, entry: str, row: Mapping[str, Any]) -> None:
        """Take over a job that was started while its entry was fetched; ``row`` has what START returns."""
        job_id, _, generation = entry.partition(":")
        self._started[entry] = _started(row, UUID(job_id), int(generation))

    def forget_ended(self, entry: str) -> bool:
        """Return whether this entry has left the queue already; asked once for each."""
        self._started.pop(entry, None)
        ended = entry in self._ended
        self._ended.discard(entry)
        return ended

    async def start(self, job_id: UUID, generation: int) -> Started | None:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        claimed = self._started.pop(entry_of(job_id, generation), None)
        if claimed is not None:
            return claimed
        # The same owner for all tries: one whose answer was lost may have taken the job.
        owner = uuid4()
        row = await patiently(
            lambda: self._relaxed.fetchrow(START, job_id, generation, owner, self.worker),
            "The job is queued.",
        )
        return None if row is None else _started(row, job_id, generation)

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
        return await self._end(job, "failed", None, json.dumps(storable(error), default=str))

    async def ask_input(self, job: Started, requests: dict[str, Any]) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        asked = json.dumps(requests)
        row = await patiently(
            lambda: self._pool.fetchrow(ASK, job.job_id, job.owner, asked, self._input_limit), ""
        )
        return self._left(job, row is not None)

    async def _end(self, job: Started, state: str, result: str | None, error: str | None) -> bool:
        end = End(job.job_id, job.owner, state, result, error)
        return self._left(job, await patiently(lambda: self._ends.do(end), ""))

    async def _finish(self, ends: Sequence[End]) -> list[bool]:
        rows = await self._pool.fetch(FINISH, *(list(column) for column in zip(*ends, strict=True)))
        done = {row["id"] for row in rows}
        return [end.job_id in done for end in ends]

    def _left(self, job: Started, ours: bool) -> bool:
        if ours:
            entry = entry_of(job.job_id, job.generation)
            self._ended.add(entry)
            self.on_end(entry)
        return ours


def entry_of(job_id: UUID, generation: int) -> str:
    """Return what an entry of the queue carries, and by which it is found."""
    return f"{job_id}:{generation}"


def _started(row: Mapping[str, Any], job_id: UUID, generation: int) -> Started:
    values = {name: row[name] for name in STARTED}
    values["inputs"] = json.loads(values.pop("input_responses") or "{}")
    return Started(job_id=job_id, generation=generation, **values)


def _ignore(_entry: str) -> None:
    """Nobody wants to know."""
