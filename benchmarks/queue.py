"""The queue: what it costs to hand a job over, whatever else waits, and what becomes of it.

No HTTP, no browser: a caller with our engine and worker processes with ours, on PostgreSQL that waits for its
disk. Hand-over is what a caller waits for a job that takes no time. The cost at depth is that of the engine's
own statements (accept, fetch and start, end), made one after the other while so many other jobs of a thousand
tenants wait; nobody has told the database's planner of them before.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.types import QueueEntrypoint, QueueManagerId

from benchmarks.installation import Installation, installed
from benchmarks.measure import Promise, Report, Row, progress
from benchmarks.processes import Child
from benchmarks.queue_stand import CONCURRENCY, configure, engine_of, start_worker
from benchmarks.starts import Starts
from composer_mcp.jobs.attempt import entry_of
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.jobs.postgres_table import PostgresJobTable
from composer_mcp.jobs.requests import CompositionRead, GetComposition
from composer_mcp.jobs.slots import Slots
from composer_mcp.jobs.thrifty_queue import BY_INDEX, AttentiveDriver, ThriftyQueries
from composer_mcp.store import database

NAME, OURS = "queue", "composer-mcp"
SECONDS = float(os.environ.get("BENCH_QUEUE_SECONDS", "5"))
CALLERS = (1, 16)
DEPTHS = (1, 1_000, 10_000, 100_000)
STATEMENTS = 200
HAND_OVER_LIMIT_MS = 15.0
#: Flat: what a job costs behind 100,000 others, over what it costs alone.
FLAT_LIMIT = 1.5
BACKLOG, BACKLOG_MS = 1000, 250
TAKE_OVER_LIMIT, TAKE_OVER_TRIES = 5.0, 3
CANCEL_LIMIT, CANCEL_TRIES = 1.0, 5
VICTIMS = {"a killed worker": signal.SIGKILL, "a host that went silent": signal.SIGSTOP}
KIND = QueueEntrypoint("get_composition")
UID = "bench-x-0000"
RESULT = CompositionRead(uid=UID, url="https://composer.test/", title="bench", version="1", document={})
FILL = """
with made as (
    insert into job (tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority,
                     correlation_id, deadline)
    select 'tenant-' || n %% 1000, 'fill-' || n, 'get_composition', '{"uid": "bench-x-0000"}', '', 0,
           1000000 + n, -(701000000 + n), 'bench', now() + interval '1 hour'
    from generate_series(1, %s) n
    returning id, generation, kind, priority
)
select count(job_enqueue(id, generation, kind, priority)) from made
"""
EMPTY = "truncate job, tenant_tag, pgqueuer, pgqueuer_log cascade; update queue_size set waiting = 0"


async def _ignore(_fraction: float, _message: str) -> None:
    """Nobody listens."""


async def do(engine: PostgresJobEngine, tenant: str, uid: str = UID) -> None:
    """Have one job done."""
    submitted = await engine.submit(tenant, uuid.uuid4().hex, GetComposition(uid=uid), "bench")
    (await engine.wait(submitted.job_id, _ignore)).outcome()


async def hand_over(engine: PostgresJobEngine, callers: int, seconds: float) -> dict[str, float]:
    """So many callers, each with one job after the other."""
    waited: list[float] = []
    began = time.perf_counter()

    async def call(number: int) -> None:
        while (sent := time.perf_counter()) < began + seconds:
            await do(engine, f"tenant-{number}")
            waited.append(1000 * (time.perf_counter() - sent))

    async with asyncio.timeout(seconds + 60), asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(call(number))
    took = time.perf_counter() - began
    waited.sort()
    return {
        "jobs/s": len(waited) / took,
        "p50 ms": statistics.median(waited),
        "p99 ms": waited[min(len(waited) - 1, int(0.99 * len(waited)))],
    }


@dataclass(slots=True)
class Hands:
    """Does what a worker does to the database, one statement after the other."""

    queries: ThriftyQueries
    table: PostgresJobTable
    manager: QueueManagerId

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, installation: Installation) -> AsyncIterator[Hands]:
        """Connect as a worker does."""
        platform = installation.platform
        password = platform.secrets.read("database-password")
        options = database.connection_options(platform.settings.postgresql, password, application="bench")
        by_index = options | {"server_settings": options["server_settings"] | BY_INDEX}
        async with (
            database.pool(options, size=2) as pool,
            database.pool(by_index, size=2, relaxed=True) as relaxed,
        ):
            table = PostgresJobTable(pool, relaxed, 60)
            queries = ThriftyQueries(AttentiveDriver(relaxed), table, Slots(CONCURRENCY, lambda: 1))
            yield cls(queries, table, QueueManagerId(uuid.uuid4()))

    async def work(self) -> tuple[float, float]:
        """Fetch one job, start it and end it; return the milliseconds of both."""
        began = time.perf_counter()
        kinds = {KIND: EntrypointExecutionParameter(concurrency_limit=0)}
        (job,) = await self.queries.dequeue(1, kinds, self.manager, CONCURRENCY, timedelta(seconds=30))
        started = await self.table.start(*entry_of(job))
        fetched = time.perf_counter()
        if started is None or not await self.table.succeed(started, RESULT.as_json()):
            raise RuntimeError("a job of the bench was somebody else's")
        return 1000 * (fetched - began), 1000 * (time.perf_counter() - fetched)


async def at_depth(
    installation: Installation, engine: PostgresJobEngine, hands: Hands, depth: int
) -> dict[str, float]:
    """What each statement costs while ``depth`` other jobs wait."""
    installation.platform.sql(EMPTY)
    installation.platform.sql(FILL % depth)
    accepting, fetching, ending = [], [], []
    for number in range(STATEMENTS + 20):
        began = time.perf_counter()
        await engine.submit(f"probe-{number}", uuid.uuid4().hex, GetComposition(uid=UID), "bench")
        accepted = 1000 * (time.perf_counter() - began)
        fetched, ended = await hands.work()
        # The first ones only warm up.
        if number >= 20:
            accepting.append(accepted)
            fetching.append(fetched)
            ending.append(ended)
    waiting = int(installation.platform.sql("select count(*) from job where state = 'queued'"))
    if waiting != depth:
        raise RuntimeError(f"{waiting} jobs wait instead of {depth}")
    found = {
        "accept p50 ms": statistics.median(accepting),
        "fetch and start p50 ms": statistics.median(fetching),
        "end p50 ms": statistics.median(ending),
    }
    return found | {"all p50 ms": sum(found.values())}


async def behind(installation: Installation, engine: PostgresJobEngine, starts: Starts) -> dict[str, float]:
    """Tenant A has a thousand jobs waiting, tenant B one; seconds until B's has begun."""

    async def fill() -> None:
        for _ in range(BACKLOG // 20):
            request = GetComposition(uid=f"bench-backlog-{BACKLOG_MS:04d}")
            await engine.submit("a", uuid.uuid4().hex, request, "bench")

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(fill())
    await starts.begun("backlog", CONCURRENCY, 60)
    ahead = int(installation.platform.sql("select count(*) from job where state = 'queued'"))
    sent = time.monotonic()
    await engine.submit("b", uuid.uuid4().hex, GetComposition(uid=f"bench-single-{BACKLOG_MS:04d}"), "bench")
    began = (await starts.begun("single", 1, 120))[0][1]
    return {"seconds": began - sent, "waiting before it": ahead}


async def take_over(
    installation: Installation,
    engine: PostgresJobEngine,
    starts: Starts,
    workers: list[Child],
    label: str,
    number: signal.Signals,
) -> float:
    """End the worker that has a job with this signal; seconds until another has begun it.

    SIGKILL is the death of a worker, of which the kernel tells the database. SIGSTOP is that of its host: the
    connections stay open, and nothing comes through them any more.
    """
    workers.append(await start_worker(installation, starts))
    await engine.submit("a", uuid.uuid4().hex, GetComposition(uid=f"bench-{label}-2000"), "bench")
    process = (await starts.begun(label, 1, 20))[0][0]
    victim = next(worker for worker in workers if process in worker.family())
    workers.remove(victim)
    os.kill(process, number)
    ended = time.monotonic()
    try:
        return (await starts.begun(label, 2, 60))[1][1] - ended
    finally:
        victim.kill()


async def cancel(engine: PostgresJobEngine, starts: Starts, label: str) -> float:
    """Cancel a job that a worker is at; seconds until its handler was stopped."""
    submission = await engine.submit(
        "a", uuid.uuid4().hex, GetComposition(uid=f"bench-{label}-20000"), "bench"
    )
    await starts.begun(label, 1, 20)
    cancelled = time.monotonic()
    await engine.cancel("a", submission.job_id)
    return (await starts.begun(f"{label}.stopped", 1, 30))[0][1] - cancelled


async def run() -> Report:
    """Measure all of it."""
    say = progress(NAME)
    report = Report(NAME, "The queue", (__doc__ or "").split("\n\n", 1)[1].strip())
    with installed() as installation:
        starts = configure(installation)
        for name in ("fsync", "synchronous_commit"):
            report.versions[name] = installation.platform.sql(f"show {name}")
        async with engine_of(installation) as engine:
            async with Hands.open(installation) as hands:
                await _depths(report, say, lambda depth: at_depth(installation, engine, hands, depth))
            installation.platform.sql(EMPTY)
            workers = [await start_worker(installation, starts)]
            await _hand_overs(report, say, engine)
            found = await behind(installation, engine, starts)
            say(f"B's job behind {found['waiting before it']:.0f} began after {found['seconds']:.2f} s")
            report.rows.append(Row(f"tenant B's job behind A's {BACKLOG} of {BACKLOG_MS} ms", OURS, found))
            report.promises.append(
                Promise("seconds until B's job begins: one of A's", found["seconds"], BACKLOG_MS / 1000, "s")
            )
            installation.platform.sql("delete from pgqueuer; delete from job where state = 'queued'")
            await asyncio.sleep(2 * BACKLOG_MS / 1000)
            stops = [await cancel(engine, starts, f"cancel{turn}") for turn in range(CANCEL_TRIES)]
            say(f"stopped after {', '.join(f'{one:.2f} s' for one in stops)}")
            report.rows.append(Row("a job that is cancelled", OURS, {"seconds": statistics.median(stops)}))
            text = f"seconds until the handler of a cancelled job is stopped, worst of {CANCEL_TRIES}"
            report.promises.append(Promise(text, max(stops), CANCEL_LIMIT, "s"))
            for who, number in VICTIMS.items():
                deaths = [
                    await take_over(installation, engine, starts, workers, f"{number.name}{turn}", number)
                    for turn in range(TAKE_OVER_TRIES)
                ]
                say(f"{who}: taken over after {', '.join(f'{one:.2f} s' for one in deaths)}")
                report.rows.append(Row(f"job of {who}", OURS, {"seconds": statistics.median(deaths)}))
                text = f"seconds until a job of {who} has begun again, worst of {TAKE_OVER_TRIES}"
                report.promises.append(Promise(text, max(deaths), TAKE_OVER_LIMIT, "s"))
    return report


async def _hand_overs(report: Report, say: Callable[[str], None], engine: PostgresJobEngine) -> None:
    await hand_over(engine, 1, 0.7)
    for callers in CALLERS:
        found = await hand_over(engine, callers, SECONDS)
        what = f"{callers} caller{'s' * (callers > 1)}, a job that takes no time"
        report.rows.append(Row(what, OURS, found))
        say(f"{what}: p50 {found['p50 ms']:.1f} ms")
        if callers == 1:
            text = "ms from a call to its result beyond the work itself, p50"
            report.promises.append(Promise(text, found["p50 ms"], HAND_OVER_LIMIT_MS, "ms"))


async def _depths(
    report: Report, say: Callable[[str], None], measured: Callable[[int], Awaitable[dict[str, float]]]
) -> None:
    costs = {}
    for depth in DEPTHS:
        costs[depth] = await measured(depth)
        report.rows.append(Row(f"{depth:,} queued", OURS, costs[depth]))
        say(f"{depth:,} queued: {costs[depth]['all p50 ms']:.2f} ms a job")
    ratio = costs[DEPTHS[-1]]["all p50 ms"] / costs[DEPTHS[0]]["all p50 ms"]
    text = f"cost of a job behind {DEPTHS[-1]:,} over that of one alone"
    report.promises.append(Promise(text, ratio, FLAT_LIMIT, "x"))
