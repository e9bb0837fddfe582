"""The job engine on PostgreSQL: accepts a job together with its entry in the queue, and waits for it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.types import JobId

from composer_mcp.errors import JOB_UNKNOWN, KEY_REUSED, STORE_UNAVAILABLE, ComposerError
from composer_mcp.jobs import overload, rules, waiting
from composer_mcp.jobs.durations import Durations
from composer_mcp.jobs.engine import JobRecord, JobState, OnProgress, Submission
from composer_mcp.jobs.hub import WaiterHub
from composer_mcp.jobs.overload import Appointments, Pace
from composer_mcp.jobs.postgres_admin import PostgresJobAdmin
from composer_mcp.jobs.postgres_table import entry_of
from composer_mcp.jobs.requests import KINDS
from composer_mcp.runtime.current import Live
from composer_mcp.store import database
from composer_mcp.store.batches import Batches
from composer_mcp.store.listener import Ear, Listener
from composer_mcp.store.patience import patiently
from composer_mcp.store.postgres_compositions import PostgresCompositions

if TYPE_CHECKING:
    from typing import TypeAlias

    from composer_mcp.jobs.requests import AnyRequest
    from composer_mcp.settings import QueueSettings, Settings

    Connection: TypeAlias = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

#: Also written in the statements of ``postgres_table``.
CHANNEL = "composer_job"
RECORD_CHANNEL = "composer_record"
#: Also written in ``upkeep``.
FORGOTTEN_CHANNEL = "composer_forgotten"
RECORDS = """
select id, tenant, kind, state, progress, progress_message, created_at, updated_at, started_at, finished_at,
       result, error, input_requests
from job where id = any($1::uuid[])
"""
#: Accepts jobs and puts them into the queue, all or nothing.
SUBMIT = """
select answer.* from unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::integer[], $8::text[],
    $9::boolean[]
) with ordinality as call(tenant, key, kind, arguments, digest, class, cost, correlation_id, again, place)
cross join lateral job_accept(
    call.tenant, call.key, call.kind, call.arguments::json, call.digest, call.class, call.cost,
    $10, $11, $12, call.correlation_id, call.again
) answer
order by call.place
"""
LOCKED = """
select id, tenant, kind, state, epoch, generation, priority, input_requests, input_responses
from job where id = $1 and tenant = $2 for update
"""
CANCEL = """
with cancelled as (
    update job set state = 'cancelled', error = $2, owner = null, input_requests = null,
                   finished_at = clock_timestamp(), updated_at = clock_timestamp()
    where id = $1 returning id
) select pg_notify('composer_job', id::text) from cancelled
"""
ENQUEUE = "select job_enqueue($1, $2, $3, $4)"
ENTRY = """
select id from pgqueuer
where dedupe_key = $1 and status = any(array['queued', 'picked']::pgqueuer_status[])
"""
ANSWER = """
with answered as (
    update job set input_requests = $2, input_responses = $3, updated_at = clock_timestamp()
    where id = $1 returning id
) select pg_notify('composer_job', id::text) from answered
"""
RESUME = """
with resumed as (
    update job set state = 'queued', generation = generation + 1, attempts = 0, owner = null, progress = 0,
                   progress_message = '', input_requests = null, input_responses = $2, input_deadline = null,
                   deadline = clock_timestamp() + $3::interval, updated_at = clock_timestamp()
    where id = $1 returning id
) select pg_notify('composer_job', id::text) from resumed
"""
#: How fast the queue empties; of a fast one the last seconds suffice.
PACE = """
select tenant, count(*)::integer as ended,
       extract(epoch from clock_timestamp() - min(min(finished_at)) over ()) as seconds
from (
    select tenant, finished_at from job where finished_at > clock_timestamp() - interval '1 minute'
    order by finished_at desc limit 1000
) recent group by tenant
"""
#: Counts what waits, for all processes; who comes second finds it done. See ``job_accept``.
COUNT = """
update queue_size set waiting = (select count(*) from job where state = 'queued'),
                      counted_at = clock_timestamp()
where counted_at < clock_timestamp() - interval '0.8 seconds'
"""
#: The median, because a few jobs that waited for a browser say little of the next.
DURATIONS = """
select kind, percentile_cont(0.5) within group (order by seconds) as seconds
from (
    select kind, extract(epoch from finished_at - started_at) as seconds from job
    where finished_at > clock_timestamp() - interval '1 hour' and state = 'succeeded'
    order by finished_at desc limit 500
) recent group by kind
"""


class Call(NamedTuple):
    """One submission, as ``SUBMIT`` takes it."""

    tenant: str
    key: str
    kind: str
    arguments: str
    digest: str
    queue_class: int
    cost: int
    correlation_id: str
    again: bool = False


class PostgresJobEngine:
    """Submits to and reads from the ``job`` table; see ``JobEngine`` for the promises.

    ``compositions`` is the register that shares its connections.
    """

    def __init__(self, pool: asyncpg.Pool, live: Live, wait_seconds: float, processes: int = 1) -> None:
        self._pool = pool
        self._live = live
        self._wait_seconds = wait_seconds
        self._durations = Durations(self._read_durations)
        self._appointments = Appointments(self._read_pace, 1 / processes)
        self._hub = WaiterHub(self._read)
        self._submissions = Batches(self._submit, common=database.UNREACHABLE)
        self._looks = Batches(self._look, common=database.UNREACHABLE)
        self.compositions = PostgresCompositions(pool)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        options: dict[str, Any],
        ears: Sequence[Ear] = (),
        live: Live | None = None,
    ) -> AsyncIterator[PostgresJobEngine]:
        """Open the pool and start listening; works while the database is away, and recovers.

        ``ears`` are others' of this process that hear over the same connection. ``live`` has the bounds that
        hold now; those of the configuration hold when it is left out.
        """
        async with database.pool(options, size=settings.postgresql.pool_size) as pool:
            engine = cls(pool, live or Live(settings), settings.web.wait_seconds, settings.web.workers)
            listener = Listener(options, [*engine.ears, engine.compositions.ear, *ears])
            counting = overload.counting(engine._count, lambda: engine.queue.total_limit > rules.EXACT_LIMIT)
            async with engine._hub.run(), listener.run(), counting:
                try:
                    yield engine
                finally:
                    await engine._durations.close()

    @property
    def pool(self) -> asyncpg.Pool:
        """For health checks and metrics."""
        return self._pool

    @property
    def queue(self) -> QueueSettings:
        """The bounds that hold now."""
        return self._live.current().queue

    @property
    def operators(self) -> PostgresJobAdmin:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        return PostgresJobAdmin(self)

    @property
    def ears(self) -> list[Ear]:
        """What the process must listen to."""
        return [
            Ear(RECORD_CHANNEL, self._heard_record, self._hub.look),
            Ear(CHANNEL, lambda payload: self._hub.heard(UUID(payload)), self._hub.look),
            Ear(FORGOTTEN_CHANNEL, lambda _: self._hub.forget(), self._hub.forget),
        ]

    def _heard_record(self, payload: str) -> None:
        """Take the whole record of an ended job from its announcement: id, then the rest as JSON."""
        job_id, record = UUID(payload[:36]), payload[36:]
        self._hub.ended(job_id, record)
        if self._hub.wanted(job_id):
            self._hub.tell(self._announced(job_id, record))

    def _announced(self, job_id: UUID, record: str) -> JobRecord:
        values = json.loads(record)
        for name in ("created_at", "updated_at", "started_at", "finished_at"):
            values[name] = values[name] and datetime.fromisoformat(values[name])
        return self._job(values | {"id": job_id, "input_requests": None})

    async def submit(self, tenant: str, key: str, request: AnyRequest, correlation_id: str) -> Submission:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        call = Call(
            tenant,
            key,
            request.kind,
            request.model_dump_json(),
            rules.fingerprint(request),
            KINDS[request.kind].queue_class,
            KINDS[request.kind].cost,
            correlation_id,
        )
        row = await patiently(
            lambda: self._submissions.do(call),
            "Nothing was accepted, unless an earlier repetition of this call was.",
        )
        match row["outcome"]:
            case "key_reused":
                raise KEY_REUSED.error(kind=row["job_kind"], job_id=str(row["job_id"]))
            case "tenant_full" | "queue_full" as outcome:
                raise await self.refused(tenant, outcome, row["waiting"])
        created = row["outcome"] == "created"
        if created:
            self._hub.expect(row["job_id"])
        return Submission(row["job_id"], created)

    async def refused(self, tenant: str, outcome: str, waiting: int) -> ComposerError:
        """Return what a call is told that found its tenant's places (``tenant_full``) or all places taken."""
        rules.require_open(self._live.current().intake)
        tenant_full = outcome == "tenant_full"
        return rules.refused(
            self.queue,
            tenant_full=tenant_full,
            waiting=waiting,
            retry_after=await self._appointments.retry_after(tenant if tenant_full else None),
        )

    async def _submit(self, calls: Sequence[Call]) -> list[asyncpg.Record]:
        # Tenants in one order everywhere, because the database locks one after the other.
        order = sorted(range(len(calls)), key=lambda place: calls[place].tenant)
        columns = zip(*(calls[place] for place in order), strict=True)
        rows = await self._pool.fetch(
            SUBMIT,
            *(list(column) for column in columns),
            timedelta(seconds=self.queue.deadline_seconds),
            *self._live.current().room,
        )
        by_place = dict(zip(order, rows, strict=True))
        return [by_place[place] for place in range(len(calls))]

    async def wait(self, job_id: UUID, on_progress: OnProgress) -> JobRecord:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        return await waiting.wait_for(
            self._hub, job_id, on_progress, seconds=self._wait_seconds, days=self.queue.retention_days
        )

    def watch(self, tenant: str, job_ids: Collection[UUID]) -> AsyncIterator[JobRecord]:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        return waiting.follow(self._hub, tenant, job_ids)

    def expected_seconds(self, kind: str) -> float:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        return self._durations.expected_seconds(kind)

    async def get(self, tenant: str, job_id: UUID) -> JobRecord:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        announced = self._hub.end_of(job_id)
        record: JobRecord | None
        if announced is not None:
            record = self._announced(job_id, announced)
        else:
            record = await patiently(
                lambda: self._looks.do(job_id), f"What the job {job_id} does, it goes on doing."
            )
        if record is None or record.tenant != tenant:
            raise self._unknown(job_id)
        return record

    async def cancel(self, tenant: str, job_id: UUID) -> JobRecord:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""

        async def attempt() -> None:
            async with self._pool.acquire() as connection, connection.transaction():
                row = await self._lock(connection, tenant, job_id)
                if JobState(row["state"]).finished:
                    return
                error = rules.cancelled(job_id, row["kind"], begun=row["epoch"] > 0)
                await connection.execute(CANCEL, job_id, json.dumps(error.as_dict()))
                entry = await connection.fetchval(ENTRY, entry_of(job_id, row["generation"]))
                if entry is not None:
                    # Takes the entry out of the queue, and stops the handler that is at work on it.
                    await Queries(AsyncpgDriver(connection)).mark_job_as_cancelled([JobId(entry)])

        await patiently(attempt, "The job may or may not be cancelled; cancelling it again does no harm.")
        return await self.get(tenant, job_id)

    async def answer(self, tenant: str, job_id: UUID, responses: dict[str, Any]) -> JobRecord:
        """See :class:`~composer_mcp.jobs.engine.JobEngine`."""
        patience = timedelta(seconds=self.queue.deadline_seconds)

        async def attempt() -> None:
            async with self._pool.acquire() as connection, connection.transaction():
                row = await self._lock(connection, tenant, job_id)
                if JobState(row["state"]) is not JobState.INPUT_REQUIRED:
                    return
                remaining, answers = rules.take_answers(
                    json.loads(row["input_requests"]), json.loads(row["input_responses"] or "{}"), responses
                )
                if remaining:
                    await connection.execute(ANSWER, job_id, json.dumps(remaining), json.dumps(answers))
                    return
                await connection.execute(RESUME, job_id, json.dumps(answers), patience)
                await connection.execute(ENQUEUE, job_id, row["generation"] + 1, row["kind"], row["priority"])

        await patiently(attempt, "The answer may or may not be kept; giving it again does no harm.")
        return await self.get(tenant, job_id)

    async def _lock(self, connection: Connection, tenant: str, job_id: UUID) -> asyncpg.Record:
        row = await connection.fetchrow(LOCKED, job_id, tenant)
        if row is None:
            raise self._unknown(job_id)
        return row

    def _unknown(self, job_id: UUID) -> Exception:
        return JOB_UNKNOWN.error(job_id=str(job_id), days=self.queue.retention_days)

    async def _look(self, job_ids: Sequence[UUID]) -> list[JobRecord | None]:
        rows = await self._pool.fetch(RECORDS, list(set(job_ids)))
        found = {row["id"]: self._record(row) for row in rows}
        return [found.get(job_id) for job_id in job_ids]

    async def _read(self, job_ids: Collection[UUID]) -> list[JobRecord]:
        """Read for the hub, which asks again by itself."""
        try:
            rows = await self._pool.fetch(RECORDS, list(job_ids))
        except database.UNREACHABLE as error:
            raise STORE_UNAVAILABLE.error(store="database", state="The jobs go on.") from error
        return [self._record(row) for row in rows]

    def _record(self, row: asyncpg.Record) -> JobRecord:
        values = dict(row)
        for name in ("result", "error", "input_requests"):
            values[name] = None if values[name] is None else json.loads(values[name])
        return self._job(values)

    def _job(self, values: dict[str, Any]) -> JobRecord:
        values["state"] = JobState(values["state"])
        expires_at = values["created_at"] + timedelta(days=self.queue.retention_days)
        return JobRecord(**values, expires_at=expires_at)

    async def _read_durations(self) -> dict[str, float]:
        try:
            rows = await self._pool.fetch(DURATIONS)
        except database.UNREACHABLE as error:
            raise STORE_UNAVAILABLE.error(store="database", state="") from error
        return {row["kind"]: float(row["seconds"]) for row in rows}

    async def _read_pace(self) -> Pace:
        try:
            rows = await self._pool.fetch(PACE)
        except (*database.UNREACHABLE, asyncpg.PostgresError) as error:
            raise STORE_UNAVAILABLE.error(store="database", state="") from error
        if not rows:
            return Pace({}, 1.0)
        return Pace({row["tenant"]: row["ended"] for row in rows}, float(rows[0]["seconds"]))

    async def _count(self) -> None:
        try:
            await self._pool.execute(COUNT)
        except (*database.UNREACHABLE, asyncpg.PostgresError) as error:
            raise STORE_UNAVAILABLE.error(store="database", state="") from error
