"""One attempt at one job: start, fence, progress, limit, cancellation, end.

PgQueuer decides who runs what and hands a job over when its worker dies; it may therefore run a job twice.
What makes that harmless is the table (``JobTable``): only the newest attempt may write to the job.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import structlog
from pgqueuer.errors import RetryRequested

from composer_mcp.audit.jobs import job_ended
from composer_mcp.errors import (
    DEADLINE_EXCEEDED,
    INTERNAL,
    JOB_LOST,
    JOB_POISONED,
    JOB_TIMEOUT,
    ComposerError,
)
from composer_mcp.jobs.requests import REQUESTS, AnyRequest, AnyResult
from composer_mcp.jobs.work import InputNeeded, Work
from composer_mcp.observability import metrics, tracing

if TYPE_CHECKING:
    from pgqueuer.models import Context, Job

    from composer_mcp.audit.trail import AuditTrail
    from composer_mcp.browser.pool import BrowserPool
    from composer_mcp.composer.api import ComposerApi
    from composer_mcp.composer.logins import Logins
    from composer_mcp.jobs.table import JobTable, Started
    from composer_mcp.settings import WorkerSettings
    from composer_mcp.store.artifacts import ArtifactStore
    from composer_mcp.store.compositions import CompositionRegistry
    from composer_mcp.store.job_evidence import JobEvidence

Handle = Callable[[AnyRequest, Work], Awaitable[AnyResult]]
PROGRESS_SECONDS = 0.25
#: How often a running attempt looks whether it still owns its job; a notification usually comes first.
LOOK_SECONDS = 1.0
#: Outcomes of an attempt that are no failure.
FINE = {"succeeded", "input_required", "lost"}
#: How long a cancelled handler may take to clean up before it is left behind.
STOP_SECONDS = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Resources:
    """What handlers work with; opened once per worker process."""

    composer: ComposerApi
    browsers: BrowserPool
    artifacts: ArtifactStore
    unowned: Literal["allow", "refuse"] = "allow"
    logins: Logins | None = None
    evidence: JobEvidence | None = None


class Attempts:
    """Runs jobs that PgQueuer hands to this process."""

    def __init__(
        self,
        table: JobTable,
        handle: Handle,
        resources: Resources,
        compositions: CompositionRegistry,
        settings: WorkerSettings,
        audit: AuditTrail,
    ) -> None:
        self._audit = audit
        self._table = table
        self._handle = handle
        self._resources = resources
        self._compositions = compositions
        self._settings = settings

    async def run(self, job: Job, context: Context) -> None:
        """Do one job, or find that there is nothing to do; never raises but to be queued again."""
        # A task of its own is cancelled once and may then clean up; inside PgQueuer's scope each further
        # await of a browser being closed would be cancelled again.
        attempt = asyncio.create_task(self._run(job))
        try:
            with context.cancellation:
                await asyncio.wait({attempt})
        finally:
            if not attempt.done():
                attempt.cancel()
                await asyncio.wait({attempt}, timeout=STOP_SECONDS)
        if attempt.done() and not attempt.cancelled():
            attempt.result()

    async def _run(self, entry: Job) -> None:
        job_id, generation = entry_of(entry)
        structlog.contextvars.bind_contextvars(job_id=str(job_id), kind=entry.entrypoint)
        try:
            job = await self._table.start(job_id, generation)
        except ComposerError as error:
            raise RetryRequested(delay=timedelta(seconds=1), reason="the database is away") from error
        if job is None:
            # Finished by another worker, cancelled, or queued anew under a later generation.
            log.info("job.void", generation=generation)
            return
        correlation_id, parent = tracing.split(job.correlation_id)
        job = dataclasses.replace(job, correlation_id=correlation_id)
        structlog.contextvars.bind_contextvars(
            correlation_id=correlation_id, tenant=job.tenant, attempt=job.epoch
        )
        with tracing.span(f"job {job.kind}", "consumer", parent=parent, root=True) as measured:
            if trace := tracing.trace_id():
                structlog.contextvars.bind_contextvars(trace_id=trace)
            measured.set(
                correlation_id=correlation_id, tenant=job.tenant, job=str(job_id), kind=job.kind,
                attempt=job.epoch, waited_seconds=(job.started_at - job.created_at).total_seconds(),
            )  # fmt: skip
            outcome = await self._measured(job)
            measured.set(outcome=outcome)
            if outcome not in FINE:
                measured.failed(outcome)

    async def _measured(self, job: Started) -> str:
        """Make the attempt, say so and count it; return its outcome."""
        log.info("job.started")
        began = time.monotonic()
        metrics.job_started(job.kind, (job.started_at - job.created_at).total_seconds())
        outcome = "cancelled"
        try:
            outcome = await self._attempt(job)
        finally:
            seconds = time.monotonic() - began
            metrics.job_finished(job.kind, outcome, seconds)
            self._audit.note(job_ended(job, outcome))
            log.info("job.finished", outcome=outcome, seconds=round(seconds, 3))
        return outcome

    async def _attempt(self, job: Started) -> str:
        """Return the outcome: ``succeeded``, ``input_required``, ``lost`` or the code of the error."""
        try:
            result = await self._work(job)
        except InputNeeded as needed:
            return await self._end(self._table.ask_input(job, needed.requests), "input_required")
        except ComposerError as error:
            if error.code is JOB_LOST:
                return "lost"
            return await self._end(self._table.fail(job, error.as_dict()), error.code.code)
        except (Exception, asyncio.CancelledError) as error:
            attempt = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (attempt is None or attempt.cancelling()):
                raise
            # Whatever a handler did not foresee is told to the operator, not to the caller. That includes a
            # cancellation that nobody asked for: a library has let go of its own.
            log.exception("job.crashed")
            return await self._end(self._table.fail(job, INTERNAL.error().as_dict()), INTERNAL.code)
        outcome = await self._end(self._table.succeed(job, result.as_json()), "succeeded")
        if outcome == "succeeded" and getattr(result, "created", False):
            metrics.COMPOSITIONS_CREATED.labels(job.kind).inc()
        return outcome

    async def _work(self, job: Started) -> AnyResult:
        if job.attempts > self._settings.attempt_limit:
            raise JOB_POISONED.error(attempts=self._settings.attempt_limit)
        # Both moments are the database's: the clock of this host may be wrong.
        if job.attempts == 1 and job.started_at > job.deadline:
            waited = (job.deadline - job.created_at).total_seconds()
            raise DEADLINE_EXCEEDED.error(seconds=round(waited))
        request = REQUESTS[job.kind].model_validate_json(job.arguments)
        async with self._guard(job) as progress:
            work = Work(
                job_id=job.job_id,
                owner=job.owner,
                tenant=job.tenant,
                idempotency_key=job.idempotency_key,
                attempt=job.epoch,
                first_started_at=job.first_started_at,
                progress=progress,
                fence=lambda: self._fence(job),
                composer=self._resources.composer,
                browsers=self._resources.browsers,
                artifacts=self._resources.artifacts,
                compositions=self._compositions,
                unowned=self._resources.unowned,
                inputs=job.inputs,
                logins=self._resources.logins,
                evidence=self._resources.evidence,
            )
            limit = self._settings.job_timeout_seconds
            try:
                async with asyncio.timeout(limit) as scope:
                    return await self._handle(request, work)
            except TimeoutError as error:
                if scope.expired():
                    raise JOB_TIMEOUT.error(seconds=round(limit)) from error
                raise

    async def _fence(self, job: Started) -> None:
        try:
            owned = await self._table.hold(job)
        except ComposerError as error:
            # Whoever cannot ask must assume that the job was taken over meanwhile.
            raise JOB_LOST.error() from error
        if not owned:
            raise JOB_LOST.error()

    @contextlib.asynccontextmanager
    async def _guard(self, job: Started) -> AsyncIterator[LatestProgress]:
        """Publish progress, and stop the work (``job_lost``) as soon as the job is no longer ours."""
        latest = LatestProgress()
        worker = asyncio.current_task()
        lost = False

        async def keep() -> None:
            nonlocal lost
            # What is over by then was never seen to run: nobody would have read so short a progress.
            await asyncio.sleep(PROGRESS_SECONDS)
            ours = True
            latest.renew()
            while ours:
                news = await latest.take(LOOK_SECONDS)
                # While the database is away, progress is dropped and the job is taken to be ours.
                with contextlib.suppress(ComposerError):
                    if news is None:
                        ours = await self._table.owned(job)
                    else:
                        ours = await self._table.progress(job, *news)
                        await asyncio.sleep(PROGRESS_SECONDS)
            lost = True
            if worker is not None:
                worker.cancel()

        keeper = asyncio.create_task(keep())
        try:
            yield latest
        except asyncio.CancelledError:
            # ``uncancel`` counts: above zero, somebody else has cancelled this task as well.
            if not lost or worker is None or worker.uncancel() > 0:
                raise
            raise JOB_LOST.error() from None
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _end(self, write: Awaitable[bool], outcome: str) -> str:
        try:
            ours = await write
        except ComposerError as away:
            # The result cannot be kept. Another attempt finds what this one saved and reports it.
            log.error("job.finish_failed", outcome=outcome)
            raise RetryRequested(delay=timedelta(seconds=1), reason="the database is away") from away
        return outcome if ours else "lost"


class LatestProgress:
    """Keeps only the newest progress, so that a chatty handler neither waits nor floods the database."""

    def __init__(self) -> None:
        self._latest: tuple[float, str] = (0.0, "")
        self._changed = asyncio.Event()

    async def __call__(self, fraction: float, message: str) -> None:
        """See :class:`~composer_mcp.jobs.work.Progress`."""
        self._latest = (min(1.0, max(0.0, fraction)), message[:500])
        self._changed.set()

    def renew(self) -> None:
        """Let the present progress be taken, even if it was never reported."""
        self._changed.set()

    async def take(self, seconds: float) -> tuple[float, str] | None:
        """Wait for progress that was not taken yet; ``None`` if none came within ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return None
        self._changed.clear()
        return self._latest


def entry_of(job: Job) -> tuple[UUID, int]:
    """Return which job an entry of the queue means, and of which generation it is."""
    job_id, _, generation = (job.payload or b"").decode().partition(":")
    return UUID(job_id), int(generation)
