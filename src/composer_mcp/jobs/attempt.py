"""One attempt at one job: start, fence, progress, limit, finish.

PgQueuer decides who runs what and hands a job over when its worker dies; it may therefore run a job twice.
What makes that harmless is here: each start takes the next epoch, and only its holder may finish.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import structlog
from pgqueuer.errors import RetryRequested

from composer_mcp.errors import (
    DEADLINE_EXCEEDED,
    INTERNAL,
    JOB_LOST,
    JOB_POISONED,
    JOB_TIMEOUT,
    ComposerError,
)
from composer_mcp.jobs.postgres_engine import patiently
from composer_mcp.jobs.requests import REQUESTS, AnyRequest, AnyResult
from composer_mcp.jobs.work import Work
from composer_mcp.observability import metrics
from composer_mcp.store.database import UNREACHABLE

if TYPE_CHECKING:
    from pgqueuer.models import Job

    from composer_mcp.browser.pool import BrowserPool
    from composer_mcp.composer.api import ComposerApi
    from composer_mcp.settings import WorkerSettings
    from composer_mcp.store.artifacts import ArtifactStore

Handle = Callable[[AnyRequest, Work], Awaitable[AnyResult]]
PROGRESS_SECONDS = 0.25

log = structlog.get_logger(__name__)

START = """
update job set state = 'running', epoch = epoch + 1, attempts = attempts + 1, started_at = clock_timestamp(),
               first_started_at = coalesce(first_started_at, clock_timestamp())
where id = $1 and generation = $2 and state in ('queued', 'running')
returning tenant, idempotency_key, kind, arguments, epoch, attempts, correlation_id, created_at, deadline,
          first_started_at, started_at
"""
OWNED = "select true from job where id = $1 and epoch = $2 and state = 'running'"
PROGRESS = """
with changed as (
    update job set progress = $3, progress_message = $4
    where id = $1 and epoch = $2 and state = 'running' returning id
) select pg_notify('composer_job', id::text) from changed
"""
FINISH = """
with done as (
    update job set state = $3, result = $4, error = $5, finished_at = clock_timestamp()
    where id = $1 and epoch = $2 and state = 'running' returning id
) select pg_notify('composer_job', id::text) from done
"""


@dataclass(frozen=True, slots=True)
class Resources:
    """What handlers work with; opened once per worker process."""

    composer: ComposerApi
    browsers: BrowserPool
    artifacts: ArtifactStore


class Attempts:
    """Runs jobs that PgQueuer hands to this process."""

    def __init__(
        self, pool: asyncpg.Pool, handle: Handle, resources: Resources, settings: WorkerSettings
    ) -> None:
        self._pool = pool
        self._handle = handle
        self._resources = resources
        self._settings = settings

    async def run(self, job: Job) -> None:
        """Do one job, or find that there is nothing to do; never raises but to be queued again."""
        job_id, generation = _entry(job)
        structlog.contextvars.bind_contextvars(job_id=str(job_id), kind=job.entrypoint)
        try:
            row = await patiently(
                lambda: self._pool.fetchrow(START, job_id, generation), "The job is queued."
            )
        except ComposerError as error:
            raise RetryRequested(delay=timedelta(seconds=1), reason="the database is away") from error
        if row is None:
            # Finished by another worker, or queued anew under a later generation.
            log.info("job.void", generation=generation)
            return
        structlog.contextvars.bind_contextvars(
            correlation_id=row["correlation_id"], tenant=row["tenant"], attempt=row["epoch"]
        )
        log.info("job.started")
        began = time.monotonic()
        metrics.job_started(row["kind"], (row["started_at"] - row["created_at"]).total_seconds())
        outcome = await self._attempt(job_id, row)
        seconds = time.monotonic() - began
        metrics.job_finished(row["kind"], outcome, seconds)
        log.info("job.finished", outcome=outcome, seconds=round(seconds, 3))

    async def _attempt(self, job_id: UUID, row: asyncpg.Record) -> str:
        """Return the outcome: ``succeeded``, ``lost`` or the code of the error."""
        try:
            result = await self._work(job_id, row)
        except ComposerError as error:
            if error.code is JOB_LOST:
                return "lost"
            return await self._finish(job_id, row["epoch"], error=error)
        except Exception:
            # Whatever a handler did not foresee is told to the operator, not to the caller.
            log.exception("job.crashed")
            return await self._finish(job_id, row["epoch"], error=INTERNAL.error())
        return await self._finish(job_id, row["epoch"], result=result)

    async def _work(self, job_id: UUID, row: asyncpg.Record) -> AnyResult:
        if row["attempts"] > self._settings.attempt_limit:
            raise JOB_POISONED.error(attempts=self._settings.attempt_limit)
        if row["attempts"] == 1 and datetime.now(UTC) > row["deadline"]:
            waited = (row["deadline"] - row["created_at"]).total_seconds()
            raise DEADLINE_EXCEEDED.error(seconds=round(waited))
        request = REQUESTS[row["kind"]].model_validate_json(row["arguments"])
        async with self._progress(job_id, row["epoch"]) as progress:
            work = Work(
                job_id=job_id,
                tenant=row["tenant"],
                idempotency_key=row["idempotency_key"],
                attempt=row["epoch"],
                first_started_at=row["first_started_at"],
                progress=progress,
                fence=lambda: self._fence(job_id, row["epoch"]),
                composer=self._resources.composer,
                browsers=self._resources.browsers,
                artifacts=self._resources.artifacts,
            )
            limit = self._settings.job_timeout_seconds
            try:
                async with asyncio.timeout(limit) as scope:
                    return await self._handle(request, work)
            except TimeoutError as error:
                if scope.expired():
                    raise JOB_TIMEOUT.error(seconds=round(limit)) from error
                raise

    async def _fence(self, job_id: UUID, epoch: int) -> None:
        try:
            owned = await patiently(lambda: self._pool.fetchval(OWNED, job_id, epoch), "")
        except ComposerError as error:
            # Whoever cannot ask must assume that the job was taken over meanwhile.
            raise JOB_LOST.error() from error
        if not owned:
            raise JOB_LOST.error()

    @contextlib.asynccontextmanager
    async def _progress(self, job_id: UUID, epoch: int) -> AsyncIterator[LatestProgress]:
        latest = LatestProgress()

        async def publish() -> None:
            while True:
                fraction, message = await latest.take()
                # Progress is a courtesy: while the database is away, it is dropped.
                with contextlib.suppress(*UNREACHABLE):
                    await self._pool.execute(PROGRESS, job_id, epoch, fraction, message)
                await asyncio.sleep(PROGRESS_SECONDS)

        publisher = asyncio.create_task(publish())
        try:
            yield latest
        finally:
            publisher.cancel()
            await asyncio.gather(publisher, return_exceptions=True)

    async def _finish(
        self, job_id: UUID, epoch: int, *, result: AnyResult | None = None, error: ComposerError | None = None
    ) -> str:
        state = "succeeded" if error is None else "failed"
        result_json = None if result is None else result.model_dump_json()
        error_json = None if error is None else json.dumps(error.as_dict(), default=str)
        try:
            row = await patiently(
                lambda: self._pool.fetchrow(FINISH, job_id, epoch, state, result_json, error_json), ""
            )
        except ComposerError as away:
            # The result cannot be kept. Another attempt finds what this one saved and reports it.
            log.error("job.finish_failed", outcome=state)
            raise RetryRequested(delay=timedelta(seconds=1), reason="the database is away") from away
        if row is None:
            return "lost"
        return state if error is None else error.code.code


class LatestProgress:
    """Keeps only the newest progress, so that a chatty handler neither waits nor floods the database."""

    def __init__(self) -> None:
        self._latest: tuple[float, str] = (0.0, "")
        self._changed = asyncio.Event()

    async def __call__(self, fraction: float, message: str) -> None:
        """See :class:`~composer_mcp.jobs.work.Progress`."""
        self._latest = (min(1.0, max(0.0, fraction)), message[:500])
        self._changed.set()

    async def take(self) -> tuple[float, str]:
        """Wait for progress that was not taken yet."""
        await self._changed.wait()
        self._changed.clear()
        return self._latest


def _entry(job: Job) -> tuple[UUID, int]:
    job_id, _, generation = (job.payload or b"").decode().partition(":")
    return UUID(job_id), int(generation)
