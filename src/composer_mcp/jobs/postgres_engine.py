"""The job engine on PostgreSQL: accepts a job in one transaction with its queue entry, and waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries

from composer_mcp.errors import JOB_PENDING, JOB_UNKNOWN, KEY_REUSED, QUEUE_FULL, STORE_UNAVAILABLE
from composer_mcp.jobs.engine import JobRecord, JobState, OnProgress, Submission
from composer_mcp.jobs.hub import WaiterHub
from composer_mcp.store import database

if TYPE_CHECKING:
    from composer_mcp.jobs.requests import AnyRequest
    from composer_mcp.settings import QueueSettings, Settings

T = TypeVar("T")

#: Expected work in tenths of a second: what a job costs its tenant in the order of the queue.
COSTS = {
    "create_composition": 30,
    "get_composition": 10,
    "update_composition": 40,
    "preview_composition": 80,
    "list_versions": 5,
}
CLASS = 1
RECORD = """
select id, tenant, kind, state, progress, progress_message, created_at, started_at, finished_at, result, error
from job where id = $1
"""
#: How long a call is retried while the database fails over; a repetition is harmless, the key is the same.
PATIENCE_SECONDS = 8.0


class PostgresJobEngine:
    """Submits to and reads from the ``job`` table; see ``JobEngine`` for the promises."""

    def __init__(self, pool: asyncpg.Pool, hub: WaiterHub, queue: QueueSettings, wait_seconds: float) -> None:
        self._pool = pool
        self._hub = hub
        self._queue = queue
        self._wait_seconds = wait_seconds

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: Settings, options: dict[str, Any]) -> AsyncIterator[PostgresJobEngine]:
        """Open the pool and start listening; works while the database is away, and recovers."""
        pool = database.pool(options, size=settings.database.pool_size)
        async with pool:
            hub = WaiterHub(pool, options)
            async with hub.run():
                yield cls(pool, hub, settings.queue, settings.web.wait_seconds)

    @property
    def pool(self) -> asyncpg.Pool:
        """For health checks and metrics."""
        return self._pool

    async def submit(self, tenant: str, key: str, request: AnyRequest, correlation_id: str) -> Submission:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        arguments = request.model_dump_json()
        digest = fingerprint(request)

        async def attempt() -> asyncpg.Record:
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(
                    "select * from job_submit($1, $2, $3, $4, $5, $6::smallint, $7, $8, $9, $10, $11)",
                    tenant,
                    key,
                    request.kind,
                    arguments,
                    digest,
                    CLASS,
                    COSTS[request.kind],
                    timedelta(seconds=self._queue.deadline_seconds),
                    self._queue.per_tenant_limit,
                    self._queue.total_limit,
                    correlation_id,
                )
                if row["outcome"] in {"created", "requeued"}:
                    await enqueue(
                        connection, row["job_kind"], row["job_id"], row["job_generation"], row["job_priority"]
                    )
                return row

        row = await patiently(attempt, "Nothing was accepted, unless an earlier repetition of this call was.")
        match row["outcome"]:
            case "key_reused":
                raise KEY_REUSED.error(kind=row["job_kind"], job_id=str(row["job_id"]))
            case "tenant_full" | "queue_full" as outcome:
                tenant_full = outcome == "tenant_full"
                raise QUEUE_FULL.error(
                    waiting=row["waiting"],
                    whose="of this tenant" if tenant_full else "of all tenants",
                    limit=self._queue.per_tenant_limit if tenant_full else self._queue.total_limit,
                    retry_after=await self._retry_after(),
                )
        return Submission(row["job_id"], row["outcome"] == "created")

    async def wait(self, job_id: UUID, on_progress: OnProgress) -> JobRecord:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                with self._hub.watch(job_id) as watch:
                    while not watch.state.finished:
                        await watch.changed.wait()
                        watch.changed.clear()
                        if watch.state is JobState.RUNNING:
                            await on_progress(watch.progress, watch.message)
        except TimeoutError as error:
            raise JOB_PENDING.error(job_id=str(job_id), seconds=round(self._wait_seconds)) from error
        record = await self._fetch(job_id)
        if record is None:
            raise JOB_UNKNOWN.error(job_id=str(job_id), days=self._queue.retention_days)
        return record

    async def get(self, tenant: str, job_id: UUID) -> JobRecord:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        record = await self._fetch(job_id)
        if record is None or record.tenant != tenant:
            raise JOB_UNKNOWN.error(job_id=str(job_id), days=self._queue.retention_days)
        return record

    async def _fetch(self, job_id: UUID) -> JobRecord | None:
        async def attempt() -> asyncpg.Record | None:
            return await self._pool.fetchrow(RECORD, job_id)

        row = await patiently(attempt, f"The job {job_id} goes on.")
        if row is None:
            return None
        values = dict(row)
        values["state"] = JobState(values["state"])
        for name in ("result", "error"):
            values[name] = None if values[name] is None else json.loads(values[name])
        return JobRecord(**values)

    async def _retry_after(self) -> int:
        """Return the seconds until a place is likely to be free: one job at the pace of the last minute."""
        finished = await self._pool.fetchval(
            "select count(*) from job where finished_at > clock_timestamp() - interval '1 minute'"
        )
        return max(1, min(30, round(60 / finished))) if finished else 10


async def enqueue(
    connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy,
    kind: str,
    job_id: UUID,
    generation: int,
    priority: int,
) -> None:
    """Put a job into the queue, inside the caller's transaction."""
    entry = f"{job_id}:{generation}"
    await Queries(AsyncpgDriver(connection)).enqueue(
        kind, entry.encode(), priority, dedupe_key=entry, on_conflict="skip"
    )


def fingerprint(request: AnyRequest) -> str:
    """Return a hash by which two calls with the same key are compared: kind and arguments, in any order."""
    canonical = json.dumps(request.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


async def patiently(attempt: Callable[[], Awaitable[T]], state: str) -> T:
    """Repeat ``attempt`` while the database is away, for a few seconds.

    Raises:
        store_unavailable: it stayed away.
    """
    give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    pause = 0.05
    while True:
        try:
            return await attempt()
        except database.UNREACHABLE as error:
            if asyncio.get_running_loop().time() + pause > give_up:
                raise STORE_UNAVAILABLE.error(store="database", state=state) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
