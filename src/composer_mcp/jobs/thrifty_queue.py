"""PgQueuer with fewer questions to the database: what this process knows by itself is not asked.

Between two jobs PgQueuer asks five times whether there is more to do, and every finished job wakes all
workers. With ten jobs a second that is most of what PostgreSQL does. What is left out here is safe, because
an idle worker looks again after ``poll_seconds`` whatever it was told:

- A fetch that brought less than there was room for has emptied the queue, unless something was announced
  since; the next fetch is answered without asking.
- Whether work is waiting or due soon is not asked before going to sleep: whatever comes is announced, and
  what was put off (a retry) is found by the next look.
- The end of a job is announced to nobody. It matters only to the worker that did it, if that had no room.
- A job is started by the statement that fetches it, and its entry is gone when its end is written.

While only the slots are free that are kept for short jobs (``slots``), no others are fetched.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.models import Job

from composer_mcp.jobs.postgres_table import STARTED, PostgresJobTable
from composer_mcp.jobs.slots import Slots

if TYPE_CHECKING:
    from pgqueuer.models import TracebackRecord
    from pgqueuer.ports.driver import NotifyCallback
    from pgqueuer.ports.repository import EntrypointExecutionParameter
    from pgqueuer.types import JOB_STATUS, JobId, QueueEntrypoint, QueueManagerId

    Ended = tuple[Job, JOB_STATUS, TracebackRecord | None]


ENDING = "SELECT * FROM claimed ORDER BY priority DESC, id ASC;"
#: See START in ``postgres_table``.
STARTING = """
, fetched as (
    -- A job that somebody cancels or ends at this moment is left to whoever does: here the entry is locked
    -- before the job, everywhere else after it, and nobody shall wait crosswise.
    select claimed.id, job.id as job_id from claimed
    join job on job.id = split_part(convert_from(payload, 'UTF8'), ':', 1)::uuid
            and generation = split_part(convert_from(payload, 'UTF8'), ':', 2)::integer
    where state in ('queued', 'running') and claimed.id <> all(${parameter}::bigint[])
    for update of job skip locked
), started as (
    update job set state = 'running', epoch = epoch + 1, attempts = attempts + 1, owner = gen_random_uuid(),
                   started_at = clock_timestamp(), updated_at = clock_timestamp(),
                   first_started_at = coalesce(first_started_at, clock_timestamp()),
                   history = job_history_begun(history, epoch + 1, ${worker})
    from fetched where job.id = fetched.job_id
    returning fetched.id, {columns}
)
select claimed.*, {started} from claimed left join started using (id)
order by claimed.priority desc, claimed.id
"""
#: As PgQueuer has them (it keeps no failed entry here), except that it takes every entry for its own: a
#: worker that was frozen and wakes up would take away the entry of the worker that has taken over, and if
#: that one dies, nobody would find the job.
REMOVE = """
with removed as (
    delete from pgqueuer
    using unnest($1::bigint[], $2::uuid[], $3::text[], $4::jsonb[]) as ended(id, holder, status, traceback)
    where pgqueuer.id = ended.id and queue_manager_id = ended.holder
    returning pgqueuer.id, ended.status, entrypoint, priority, ended.traceback
) insert into pgqueuer_log (job_id, status, entrypoint, priority, traceback)
select id, status::pgqueuer_status, entrypoint, priority, traceback from removed
"""
GIVE_BACK = """
with given as (
    update pgqueuer set status = 'queued', execute_after = now() + $3::interval, attempts = attempts + 1,
                        updated = now(), queue_manager_id = null
    where id = $1 and queue_manager_id = $2 returning id, entrypoint, priority
) insert into pgqueuer_log (job_id, status, entrypoint, priority, traceback)
select id, 'queued', entrypoint, priority, $4::jsonb from given
"""
#: For the connections of the queue, whose every question has its index. Without this a plan made while few
#: jobs wait, which is kept, reads and sorts the whole table when many do.
BY_INDEX = {"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off", "jit": "off"}
_STATEMENTS: dict[str, str] = {}


class AttentiveDriver(AsyncpgPoolDriver):
    """Counts what is announced, and passes on only what can mean new work."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool)
        self.announced = 0
        self._listeners: list[tuple[str, NotifyCallback]] = []

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Listen on a channel."""
        self._listeners.append((channel, callback))

        def attentive(payload: str | bytes | bytearray) -> None:
            event = json.loads(payload)
            if event.get("type") == "table_changed_event":
                if event.get("operation") == "delete":
                    return
                self.announced += 1
            callback(payload)

        await super().add_listener(channel, attentive)

    def announce(self) -> None:
        """Tell this process alone that there may be work."""
        for channel, callback in self._listeners:
            event = {
                "channel": channel,
                "operation": "delete",
                "sent_at": "1970-01-01T00:00:00Z",
                "table": "",
                "type": "table_changed_event",
            }
            callback(json.dumps(event))


class ThriftyQueries(Queries):
    """PgQueuer's queries for one worker that polls often."""

    def __init__(self, driver: AttentiveDriver, table: PostgresJobTable, slots: Slots) -> None:
        super().__init__(driver)
        self._attentive = driver
        self._table = table
        self._slots = slots
        table.on_end = self._release
        #: Entries that this process is at work on, with their ids in the queue.
        self._held: dict[str, JobId] = {}
        #: Whether a job may have been left in the queue for want of a slot.
        self._short_of_room = False
        #: What had been announced when the fetch began that emptied the queue; ``None``: ask.
        self._emptied_at: int | None = None

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[Job]:
        """Fetch jobs and start them, unless it is known that there are none or that there is no room."""
        emptied_at, self._emptied_at = self._emptied_at, None
        before = self._attentive.announced
        room = self._slots.room(batch_size)
        self._short_of_room = room.short_of
        wanted = [entrypoint for entrypoint in entrypoints if room.takes(entrypoint)]
        if not wanted or room.jobs <= 0 or emptied_at == before:
            return []
        query = self.qbq.build_dequeue_query(
            batch_size=room.jobs,
            entrypoints=wanted,
            concurrency_limits=[0] * len(wanted),
            queue_manager_id=queue_manager_id,
            global_concurrency_limit=global_concurrency_limit,
            heartbeat_timeout=heartbeat_timeout,
        )
        held = list(self._held.values())
        statement = starting(query.sql, len(query.args) + 1)
        rows = await self.driver.fetch(statement, *query.args, held, self._table.worker)
        if 0 < len(rows) < room.jobs:
            self._emptied_at = before
        return [self._take(row) for row in rows]

    def _take(self, row: dict[str, Any]) -> Job:
        job = Job.model_validate(row)
        entry = _entry(job)
        self._held[entry] = job.id
        self._slots.take(entry, job.entrypoint)
        if row["started_owner"] is not None:
            self._table.claimed(entry, {name: row[f"started_{name}"] for name in STARTED})
        return job

    async def log_jobs(self, job_status: list[Ended]) -> None:
        """Take ended jobs out of the queue, as far as they are still in it and nobody has taken over."""
        left = [ended for ended in job_status if not self._table.forget_ended(_entry(ended[0]))]
        if left:
            jobs, states, traces = zip(*left, strict=True)
            await self.driver.execute(
                REMOVE,
                [job.id for job in jobs],
                [job.queue_manager_id for job in jobs],
                list(states),
                [_json(trace) for trace in traces],
            )
        for job, _, _ in job_status:
            self._release(_entry(job))

    async def retry_job(self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None) -> None:
        """Give a job back to the queue, unless another worker has taken it over."""
        await self.driver.execute(GIVE_BACK, job.id, job.queue_manager_id, delay, _json(traceback_record))
        self._release(_entry(job))

    async def eligible_queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        """Be told instead."""
        return 0

    async def next_deferred_eta(self, entrypoints: list[QueueEntrypoint]) -> timedelta | None:
        """Look often enough instead."""
        return None

    async def queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        """Be told instead; PgQueuer needs the number only to stop when the queue is empty."""
        return 0

    def _release(self, entry: str) -> None:
        self._held.pop(entry, None)
        if self._slots.free(entry) and self._short_of_room:
            self._short_of_room = False
            self._attentive.announce()


def starting(sql: str, parameter: int) -> str:
    """Return PgQueuer's statement that fetches jobs, made to start them as well.

    What this process is already at work on (``parameter``: ids) is not started: PgQueuer may fetch it again
    when a sign of life was late, and then leaves it alone. The parameter after it is the worker's name.

    Raises:
        RuntimeError: the statement has not the form that is known.
    """
    if (known := _STATEMENTS.get(sql)) is not None:
        return known
    if not sql.endswith(ENDING):
        raise RuntimeError("this release of PgQueuer fetches jobs in another way; see thrifty_queue")
    _STATEMENTS[sql] = sql.removesuffix(ENDING) + STARTING.format(
        parameter=parameter,
        worker=parameter + 1,
        columns=", ".join(STARTED),
        started=", ".join(f"started.{name} as started_{name}" for name in STARTED),
    )
    return _STATEMENTS[sql]


def _json(trace: TracebackRecord | None) -> str | None:
    return None if trace is None else trace.model_dump_json()


def _entry(job: Job) -> str:
    return (job.payload or b"").decode()


def thrifty(pool: asyncpg.Pool, table: PostgresJobTable, slots: Slots) -> PgQueuer:
    """Return a queue for one worker that looks for work at least every second."""
    driver = AttentiveDriver(pool)
    return PgQueuer(connection=driver, queries=ThriftyQueries(driver, table, slots))
