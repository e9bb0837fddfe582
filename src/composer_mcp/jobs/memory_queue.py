"""PgQueuer's queue in memory, with slots kept for short jobs; what ``thrifty_queue`` is on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pgqueuer import PgQueuer
from pgqueuer.adapters.inmemory.driver import InMemoryDriver
from pgqueuer.adapters.inmemory.queries import InMemoryQueries
from pgqueuer.models import Job

from composer_mcp.jobs.slots import Slots

if TYPE_CHECKING:
    from pgqueuer.models import TracebackRecord
    from pgqueuer.ports.repository import EntrypointExecutionParameter
    from pgqueuer.types import JOB_STATUS, QueueEntrypoint, QueueManagerId

    Ended = tuple[Job, JOB_STATUS, TracebackRecord | None]


class RoomyQueries(InMemoryQueries):
    """Hands out long jobs only while there is a slot for them.

    Whoever waits is woken by each end, because the library announces it.
    """

    def __init__(self, driver: InMemoryDriver, slots: Slots) -> None:
        super().__init__(driver)
        self._slots = slots

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[Job]:
        """Fetch jobs, as many as there is room for."""
        room = self._slots.room(batch_size)
        if room.jobs <= 0:
            return []
        wanted = {name: each for name, each in entrypoints.items() if room.takes(name)}
        jobs = await super().dequeue(
            room.jobs, wanted, queue_manager_id, global_concurrency_limit, heartbeat_timeout
        )
        for job in jobs:
            self._slots.take(str(job.id), job.entrypoint)
        return jobs

    async def log_jobs(self, job_status: list[Ended]) -> None:
        """Take ended jobs out of the queue."""
        for job, _, _ in job_status:
            self._slots.free(str(job.id))
        await super().log_jobs(job_status)

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        """Give a job back to the queue."""
        self._slots.free(str(job.id))
        await super().retry_job(job, delay, traceback_record)


def in_memory(slots: Slots) -> PgQueuer:
    """Return a queue for one process."""
    driver = InMemoryDriver()
    return PgQueuer(connection=driver, queries=RoomyQueries(driver, slots))
