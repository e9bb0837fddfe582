"""The job engine of a server that runs alone: jobs in SQLite, the queue in memory, the work in this process.

What is promised is the same as on PostgreSQL. The queue need not survive, because it is filled from the table
at the start: whatever was queued or running when the last process ended is queued again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Collection, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import structlog
from pgqueuer.errors import RetryRequested
from pgqueuer.types import JobId

from composer_mcp.errors import INTERNAL, JOB_UNKNOWN, KEY_REUSED, ComposerError
from composer_mcp.jobs import rules, sqlite_jobs, waiting
from composer_mcp.jobs.attempt import Attempts, Handle, Resources, entry_of
from composer_mcp.jobs.durations import Durations
from composer_mcp.jobs.engine import JobRecord, OnProgress, Submission
from composer_mcp.jobs.hub import WaiterHub
from composer_mcp.jobs.memory_queue import in_memory
from composer_mcp.jobs.overload import Appointments
from composer_mcp.jobs.requests import REQUESTS
from composer_mcp.jobs.slots import Slots
from composer_mcp.jobs.sqlite_admin import SqliteJobAdmin
from composer_mcp.jobs.sqlite_jobs import Entry
from composer_mcp.jobs.sqlite_table import SqliteJobTable
from composer_mcp.runtime.current import Live

if TYPE_CHECKING:
    from pgqueuer.models import Context, Job

    from composer_mcp.audit.trail import AuditTrail
    from composer_mcp.jobs.requests import AnyRequest
    from composer_mcp.settings import QueueSettings, Settings
    from composer_mcp.store.artifacts import ArtifactStore
    from composer_mcp.store.compositions import CompositionRegistry
    from composer_mcp.store.sqlite import Sqlite

T = TypeVar("T")

UPKEEP_SECONDS = 60.0
#: Old artifacts are looked for with every so many of these.
UPKEEP_ARTIFACTS = 60
#: How often an idle queue looks without being told; in one process nothing that was told is lost.
LOOK_SECONDS = 30.0
#: Handlers that are told to stop close their pages; whoever takes longer is left behind.
STOP_SECONDS = 12.0
#: How soon is done what was queued beside this process.
TAKE_IN_SECONDS = 2.0
RETRY_DELAY = timedelta(seconds=1)
ACCEPTED = "Nothing was accepted, unless an earlier repetition of this call was."

log = structlog.get_logger(__name__)


class EmbeddedJobEngine:
    """Accepts jobs, does them, tells of them; see ``JobEngine`` for the promises.

    ``broken`` is set when jobs can no longer be done, which only another process can change.
    """

    def __init__(
        self,
        database: Sqlite,
        settings: Settings,
        broken: asyncio.Event | None = None,
        live: Live | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._live = live or Live(settings)
        self._hub = WaiterHub(self._read)
        self._durations = Durations(lambda: database.run(sqlite_jobs.durations))
        self._appointments = Appointments(lambda: database.run(sqlite_jobs.pace))
        slots = Slots(settings.worker.concurrency, lambda: self._live.current().worker.interactive_slots)
        self._queuer = in_memory(slots)
        # What was stored must also be queued, though the caller may go away in between.
        self._unfinished: set[asyncio.Task[Any]] = set()
        # By job that is queued or runs: its entry in the queue, so that it can be taken out again.
        self._entries: dict[UUID, JobId] = {}
        self._stopping = False
        self._ended: str | None = None
        self._broken = broken or asyncio.Event()

    @contextlib.asynccontextmanager
    async def run(
        self,
        handle: Handle,
        resources: Resources,
        compositions: CompositionRegistry,
        audit: AuditTrail,
        *,
        grace_seconds: float,
    ) -> AsyncIterator[None]:
        """Do jobs until the context is left.

        Those under way then have ``grace_seconds`` to end; others are stopped, and done at the next start.
        """
        table = SqliteJobTable(self._database, self._queue.input_seconds, self._changed)
        attempts = Attempts(table, handle, resources, compositions, self._settings.worker, audit)

        async def work(job: Job, context: Context) -> None:
            try:
                await attempts.run(job, context)
            except RetryRequested:
                raise
            except Exception:
                await self._fail_unforeseen(job)
            finally:
                # A job that is queued again meanwhile has a newer entry, which stays.
                for job_id in [key for key, entry in self._entries.items() if entry == job.id]:
                    del self._entries[job_id]

        for kind in REQUESTS:
            self._queuer.entrypoint(kind, accepts_context=True)(work)
        left = await self._database.run(sqlite_jobs.requeue)
        for entry in left:
            await self._enqueue(entry)
        if left:
            log.info("engine.continued", jobs=len(left))
        concurrency = self._settings.worker.concurrency
        tasks = [
            asyncio.create_task(
                self._queuer.run(
                    batch_size=max(1, concurrency // 4),
                    max_concurrent_tasks=concurrency,
                    dequeue_timeout=timedelta(seconds=LOOK_SECONDS),
                    heartbeat_timeout=timedelta(seconds=self._settings.worker.heartbeat_seconds),
                )
            ),
            asyncio.create_task(self._take_in()),
            asyncio.create_task(self._keep_tidy(resources.artifacts)),
        ]
        for task in tasks:
            task.add_done_callback(self._note_end)
        async with self._hub.run():
            try:
                yield
            finally:
                await self._stop(tasks, grace_seconds)
                await self._durations.close()

    async def _stop(self, tasks: list[asyncio.Task[None]], grace_seconds: float) -> None:
        self._stopping = True
        self._queuer.shutdown.set()
        for task in tasks[1:]:
            task.cancel()
        done, _ = await asyncio.wait(tasks[:1], timeout=grace_seconds)
        if not done or self._ended is not None:
            # From here on no attempt may write to its job, and the next start does it again.
            await self._database.run(sqlite_jobs.give_back)
            tasks[0].cancel()
            await asyncio.wait(tasks, timeout=STOP_SECONDS)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        reason = None if task.cancelled() else task.exception()
        if self._stopping and not isinstance(reason, Exception):
            return
        log.error("engine.ended", exc_info=reason)
        if not self._stopping and self._ended is None:
            cause = "it was stopped" if reason is None else type(reason).__name__
            self._ended = f"jobs are no longer done, because their queue has ended ({cause})"
            self._broken.set()

    @property
    def _queue(self) -> QueueSettings:
        return self._live.current().queue

    async def problem(self) -> str | None:
        """Return why jobs cannot be done now; ``None`` if they can."""
        if self._ended is not None:
            return self._ended
        try:
            await self.queue()
        except ComposerError as error:
            return f"state directory: {error.sentence}"
        return None

    async def _fail_unforeseen(self, job: Job) -> None:
        """End a job that its attempt left open; without this it would stay so until the next start."""
        job_id, generation = entry_of(job)
        log.exception("job.crashed", job_id=str(job_id))
        try:
            failed = await self._database.run(
                lambda connection: sqlite_jobs.fail(connection, job_id, generation, INTERNAL.error())
            )
        except Exception as error:
            raise RetryRequested(delay=RETRY_DELAY, reason="the failure could not be kept") from error
        if failed:
            self._changed(job_id)

    async def submit(self, tenant: str, key: str, request: AnyRequest, correlation_id: str) -> Submission:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        return await self._to_its_end(self._submit(tenant, key, request, correlation_id))

    async def _submit(self, tenant: str, key: str, request: AnyRequest, correlation_id: str) -> Submission:
        accepted = await self._database.run(
            lambda connection: sqlite_jobs.submit(
                connection, self._live.current().accepting, tenant, key, request, correlation_id
            ),
            ACCEPTED,
        )
        if accepted.entry is None:
            rules.require_open(self._live.current().intake)
            raise rules.refused(
                self._queue,
                tenant_full=accepted.tenant_full,
                waiting=accepted.waiting,
                retry_after=await self._appointments.retry_after(tenant if accepted.tenant_full else None),
            )
        entry = accepted.entry
        if accepted.outcome == "key_reused":
            raise KEY_REUSED.error(kind=entry.kind, job_id=str(entry.job_id))
        if accepted.outcome != "existing":
            await self._enqueue(entry)
        return Submission(entry.job_id, accepted.outcome == "created")

    async def wait(self, job_id: UUID, on_progress: OnProgress) -> JobRecord:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        return await waiting.wait_for(
            self._hub,
            job_id,
            on_progress,
            seconds=self._settings.web.wait_seconds,
            days=self._queue.retention_days,
        )

    def watch(self, tenant: str, job_ids: Collection[UUID]) -> AsyncIterator[JobRecord]:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        return waiting.follow(self._hub, tenant, job_ids)

    def expected_seconds(self, kind: str) -> float:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        return self._durations.expected_seconds(kind)

    async def get(self, tenant: str, job_id: UUID) -> JobRecord:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        found = await self._read([job_id])
        if not found or found[0].tenant != tenant:
            raise self._unknown(job_id)
        return found[0]

    async def cancel(self, tenant: str, job_id: UUID) -> JobRecord:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        return await self._to_its_end(self._cancel(tenant, job_id))

    async def _cancel(self, tenant: str, job_id: UUID) -> JobRecord:
        entry = await self._database.run(
            lambda connection: sqlite_jobs.cancel(connection, tenant, job_id),
            "The job may or may not be cancelled; cancelling it again does no harm.",
        )
        if entry is None:
            raise self._unknown(job_id)
        queued = self._entries.pop(job_id, None)
        if queued is not None:
            # Takes the entry out of the queue, and stops the handler that is at work on it.
            await self._queuer.qm.queries.mark_job_as_cancelled([queued])
        self._changed(job_id)
        return await self.get(tenant, job_id)

    async def answer(self, tenant: str, job_id: UUID, responses: dict[str, Any]) -> JobRecord:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        return await self._to_its_end(self._answer(tenant, job_id, responses))

    async def _answer(self, tenant: str, job_id: UUID, responses: dict[str, Any]) -> JobRecord:
        answered = await self._database.run(
            lambda connection: sqlite_jobs.answer(connection, self._queue, tenant, job_id, responses),
            "The answer may or may not be kept; giving it again does no harm.",
        )
        if answered is None:
            raise self._unknown(job_id)
        if answered.entry is not None:
            await self._enqueue(answered.entry)
        self._changed(job_id)
        return await self.get(tenant, job_id)

    @property
    def operators(self) -> SqliteJobAdmin:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        return SqliteJobAdmin(self._database, self._queue, self.cancel)

    async def queue(self) -> tuple[dict[str, int], float]:
        """Return the number of jobs by state, and for how long (s) the oldest waits to be started."""
        return await self._database.run(sqlite_jobs.queue)

    async def _to_its_end(self, steps: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(steps)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return await asyncio.shield(task)

    async def _enqueue(self, entry: Entry) -> None:
        text = f"{entry.job_id}:{entry.generation}"
        (queued,) = await self._queuer.qm.queries.enqueue(
            entry.kind, text.encode(), dedupe_key=text, on_conflict="skip"
        )
        if queued is None:
            # It was put in a moment ago, by whoever looked into the table first.
            return
        self._entries[entry.job_id] = queued
        self._changed(entry.job_id)

    def _changed(self, job_id: UUID) -> None:
        self._hub.heard(job_id)

    async def _read(self, job_ids: Collection[UUID]) -> list[JobRecord]:
        return await self._database.run(
            lambda connection: sqlite_jobs.records(connection, self._queue, job_ids), "The jobs go on."
        )

    def _unknown(self, job_id: UUID) -> ComposerError:
        return JOB_UNKNOWN.error(job_id=str(job_id), days=self._queue.retention_days)

    async def _take_in(self) -> None:
        """Queue what somebody else has put into the table: an operator who has a job done again."""
        while True:
            await asyncio.sleep(TAKE_IN_SECONDS)
            try:
                for entry in await self._database.run(sqlite_jobs.queued):
                    if entry.job_id not in self._entries:
                        await self._enqueue(entry)
            except ComposerError as error:
                log.warning("engine.not_taken_in", error=error.sentence)

    async def _keep_tidy(self, artifacts: ArtifactStore) -> None:
        for minute in itertools.count():
            try:
                overdue = await self._database.run(
                    lambda connection: sqlite_jobs.give_up_asking(connection, self._queue)
                )
                for job_id in overdue:
                    self._changed(job_id)
                await self._database.run(lambda connection: sqlite_jobs.forget(connection, self._queue))
                if minute % UPKEEP_ARTIFACTS == 0:
                    await artifacts.forget(timedelta(days=self._queue.retention_days))
            except ComposerError as error:
                log.warning("engine.upkeep_failed", error=error.sentence)
            await asyncio.sleep(UPKEEP_SECONDS)
