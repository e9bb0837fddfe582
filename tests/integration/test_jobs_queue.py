"""What is promised of the queue behind the jobs, where it leaves PgQueuer's own paths for cheaper ones."""

from __future__ import annotations

import signal
import time
import uuid
from datetime import timedelta

import anyio
import asyncpg
import pytest
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryQueueBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.models import Job
from pgqueuer.ports.repository import EntrypointExecutionParameter

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.postgres_engine import ENQUEUE, PostgresJobEngine
from composer_mcp.jobs.postgres_table import PostgresJobTable
from composer_mcp.jobs.slots import Slots
from composer_mcp.jobs.thrifty_queue import AttentiveDriver, ThriftyQueries, starting

from .support.installation import Platform
from .support.processes import Process
from .test_jobs_in_trouble import pool_of
from .test_jobs_lifecycle import engine_of, in_thread, no_progress, submit

pytestmark = pytest.mark.anyio


@pytest.fixture
def concurrent(platform: Platform) -> Platform:
    platform.configure(worker={"concurrency": 8}, queue={"per_tenant_limit": 1000})
    return platform


async def test_a_job_is_put_into_the_queue_as_pgqueuer_would_do_it(platform: Platform) -> None:
    job_id = uuid.uuid4()
    async with pool_of(platform) as pool, pool.acquire() as connection:
        await connection.execute(ENQUEUE, job_id, 3, "get_composition", -700_000_010)
        ours = await one_entry(connection)
        again = await connection.fetchval("select count(*) from pgqueuer_log")
        await connection.execute(ENQUEUE, job_id, 3, "get_composition", -700_000_010)
        assert await connection.fetchval("select count(*) from pgqueuer") == 1
        assert await connection.fetchval("select count(*) from pgqueuer_log") == again == 1
        platform.sql("truncate pgqueuer, pgqueuer_log")
        entry = f"{job_id}:3"
        await Queries(AsyncpgDriver(connection)).enqueue(
            "get_composition", entry.encode(), -700_000_010, dedupe_key=entry, on_conflict="skip"
        )
        theirs = await one_entry(connection)
    assert ours == theirs


async def one_entry(connection: asyncpg.Connection) -> dict[str, object]:
    """Return everything the queue's tables hold of one entry, but numbers and times."""
    entry = dict(await connection.fetchrow("select * from pgqueuer"))
    log = dict(await connection.fetchrow("select * from pgqueuer_log"))
    assert entry["execute_after"] == entry["created"] and log["job_id"] == entry["id"]
    changing = {"id", "job_id", "created", "updated", "heartbeat", "execute_after"}
    return {f"{table}.{name}": value for table, row in (("entry", entry), ("log", log))
            for name, value in row.items() if name not in changing}  # fmt: skip


def test_pgqueuer_fetches_jobs_by_the_statement_that_is_known() -> None:
    query = QueryQueueBuilder().build_dequeue_query(
        batch_size=2,
        entrypoints=["get_composition"],
        concurrency_limits=[0],
        queue_manager_id=uuid.uuid4(),
        global_concurrency_limit=4,
        heartbeat_timeout=timedelta(seconds=3),
    )
    assert starting(query.sql, len(query.args) + 1).startswith(query.sql[:200])
    with pytest.raises(RuntimeError, match="another way"):
        starting("select 1", 1)


async def test_a_job_costs_the_database_a_handful_of_transactions(concurrent: Platform) -> None:
    await in_thread(concurrent.start_tame_worker)
    async with engine_of(concurrent) as engine:

        async def do_jobs(count: int) -> None:
            for _ in range(count):
                await engine.wait(await submit(engine, "sit-0000"), no_progress)

        await do_jobs(10)
        # Counts arrive a moment late.
        await anyio.sleep(2)
        # Idle workers look now and then: that is no cost of a job, however long a busy machine takes for it.
        idle = -int(concurrent.sql(TRANSACTIONS))
        await anyio.sleep(IDLE_SECONDS)
        before = int(concurrent.sql(TRANSACTIONS))
        idle += before
        began = time.monotonic()
        await do_jobs(100)
        took = time.monotonic() - began
    assert int(concurrent.sql(TRANSACTIONS)) - before - idle * took / IDLE_SECONDS < 800


IDLE_SECONDS = 3
TRANSACTIONS = "select xact_commit from pg_stat_database where datname = current_database()"
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


async def test_a_job_cancelled_while_it_is_fetched_ends_once_and_nobody_waits_crosswise(
    concurrent: Platform,
) -> None:
    await in_thread(concurrent.start_tame_worker)
    async with engine_of(concurrent) as engine:
        states: list[JobState] = []

        async def race(number: int) -> None:
            job_id = await submit(engine, "sit-0005")
            await anyio.sleep(number % 10 / 1000)
            cancelled = await engine.cancel("school", job_id)
            ended = await engine.wait(job_id, no_progress)
            assert ended == cancelled == await engine.get("school", job_id)
            states.append(ended.state)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for number in range(60):
                    group.start_soon(race, number)
        after = await submit(engine, "sit-0001")
        assert (await engine.wait(after, no_progress)).state is JobState.SUCCEEDED
    assert len(states) == 60 and set(states) <= {JobState.CANCELLED, JobState.SUCCEEDED}
    assert concurrent.sql(DEADLOCKS) == "0"
    assert concurrent.sql("select count(*) from pgqueuer") == "0"


async def test_tenants_that_submit_at_the_same_time_in_several_processes_do_not_block_one_another(
    concurrent: Platform,
) -> None:
    ids: list[uuid.UUID] = []

    async def call(engine: PostgresJobEngine, tenant: str) -> None:
        ids.append(await submit(engine, "sit-0001", tenant=tenant))

    async with (
        engine_of(concurrent) as first,
        engine_of(concurrent) as second,
        anyio.create_task_group() as group,
    ):
        for number in range(100):
            group.start_soon(call, first, f"tenant-{number % 10}")
            group.start_soon(call, second, f"tenant-{9 - number % 10}")
    assert len(set(ids)) == 200
    assert concurrent.sql(DEADLOCKS) == "0"
    assert concurrent.sql("select count(*) from pgqueuer") == "200"


async def test_a_refused_call_does_not_refuse_those_it_came_with(concurrent: Platform) -> None:
    concurrent.configure(queue={"per_tenant_limit": 5})
    codes: list[str] = []

    async def call(engine: PostgresJobEngine, tenant: str) -> None:
        try:
            await submit(engine, "sit-0001", tenant=tenant)
            codes.append("accepted")
        except ComposerError as error:
            codes.append(error.code.code)

    async with engine_of(concurrent) as engine, anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(call, engine, "school" if number % 3 else "other")
    assert sorted(codes) == ["accepted"] * 10 + ["queue_full"] * 20


async def test_a_late_sign_of_life_does_not_start_a_job_anew_where_it_is_at_work(platform: Platform) -> None:
    worker: Process = await in_thread(platform.start_tame_worker)
    async with engine_of(platform) as engine:
        job_id = await submit(engine, platform.hold("slow"))
        await in_thread(worker.wait_for, "tame.begun")
        platform.sql("update pgqueuer set heartbeat = now() - interval '1 hour'")
        with anyio.fail_after(10):
            while platform.sql("select count(*) from pgqueuer_log where status = 'picked'") == "1":
                await anyio.lowlevel.checkpoint()
        platform.release("slow", jobs=2)
        record = await engine.wait(job_id, no_progress)
    assert record.state is JobState.SUCCEEDED
    assert platform.sql("select epoch from job") == "1"


@pytest.mark.chaos
async def test_a_worker_that_wakes_up_leaves_the_job_to_be_taken_over_from_its_heir(
    platform: Platform,
) -> None:
    frozen = platform.start_tame_worker()
    uid = platform.hold("frozen")
    async with engine_of(platform) as engine:
        job_id = await submit(engine, uid)
        await in_thread(frozen.wait_for, "tame.begun")
        frozen.signal(signal.SIGSTOP)
        heir = await in_thread(platform.start_tame_worker)
        await in_thread(heir.wait_for, "tame.begun")
        third = await in_thread(platform.start_tame_worker)
        frozen.signal(signal.SIGCONT)
        await in_thread(frozen.wait_for, '"outcome": "lost"')
        # What is over is taken out of the queue a moment later.
        await anyio.sleep(0.5)
        frozen.signal(signal.SIGTERM)
        heir.kill()
        killed = time.monotonic()
        with anyio.fail_after(10):
            await in_thread(third.wait_for, "tame.begun")
        # The reads of those who are gone count as well.
        platform.release("frozen", jobs=3)
        record = await engine.wait(job_id, no_progress)
    finished = time.monotonic() - killed
    assert record.result is not None and record.result["document"]["attempt"] == 3
    assert finished <= 5, f"finished after {finished:.1f} s"
    assert platform.sql("select count(*) from pgqueuer") == "0"


async def test_only_who_holds_an_entry_gives_it_back_or_takes_it_out(platform: Platform) -> None:
    async with pool_of(platform) as pool, engine_of(platform) as engine:
        await submit(engine, "sit-0001")
        frozen, heir, last = [
            ThriftyQueries(AttentiveDriver(pool), PostgresJobTable(pool, pool, 60), Slots(8, lambda: 1))
            for _ in range(3)
        ]
        first = await fetch(frozen)
        platform.sql("update pgqueuer set heartbeat = now() - interval '1 hour'")
        second = await fetch(heir)
        assert first.id == second.id
        held = platform.sql("select status, queue_manager_id, attempts from pgqueuer")
        await frozen.retry_job(first, timedelta(0), None)
        await frozen.log_jobs([(first, "successful", None)])
        assert platform.sql("select status, queue_manager_id, attempts from pgqueuer") == held
        await heir.retry_job(second, timedelta(0), None)
        assert platform.sql("select status, queue_manager_id, attempts from pgqueuer") == "queued||1"
        third = await fetch(last)
        await last.log_jobs([(third, "successful", None)])
        assert platform.sql("select count(*) from pgqueuer") == "0"
        said = platform.sql("select status from pgqueuer_log order by id").split()
        assert said == ["queued", "picked", "picked", "queued", "picked", "successful"]


async def fetch(queries: ThriftyQueries) -> Job:
    """Fetch the one job as a worker of its own."""
    kind = EntrypointExecutionParameter(concurrency_limit=0)
    timeout = timedelta(seconds=3)
    (job,) = await queries.dequeue(5, {"get_composition": kind}, uuid.uuid4(), None, timeout)
    return job
