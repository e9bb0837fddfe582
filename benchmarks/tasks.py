"""Durable tasks: our tasks extension on PostgreSQL against fastmcp-tasks on Redis.

Each has one web process and one worker process, ten tasks at a time in a process, the same work, the same
client. Ours waits for the disk at every change of state that a caller is told of, checks a token at every
request, and keeps tenants apart; Redis keeps its data in memory, as it does by default. What is measured is
what a client sees: it asks again after 2 ms, then ever less often. The peer's web process works on tasks
as well; that is how it is built, and it is left so.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from benchmarks import load, results
from benchmarks.measure import Promise, Report, Row, median_ratio, medians, progress, rotations
from benchmarks.processes import Failed
from benchmarks.stands import OURS, PEER, Stand, both
from benchmarks.taskwire import Caller, Service

NAME = "tasks"
ROUNDS = 5
CALLERS = (1, 16, 64)
SECONDS = 3.0
BACKLOG, BACKLOG_MS = 1000, 250
TAKE_OVER_LIMIT, TAKE_OVER_TRIES = 5.0, 3
#: By default we do not wait for a peer that takes minutes; $BENCH_PATIENCE seconds say otherwise.
PATIENCE = float(os.environ.get("BENCH_PATIENCE", "12"))


async def latency(service: Service, seconds: float) -> dict[str, float]:
    """One caller, one task after the other."""
    caller = Caller(service)
    created, known = [], []
    until = time.perf_counter() + seconds
    try:
        while (began := time.perf_counter()) < until:
            task = await caller.create()
            created.append(time.perf_counter() - began)
            await caller.result(task)
            known.append(time.perf_counter() - began)
    finally:
        caller.close()
    return {
        "create p50 ms": _percentile(created, 0.5),
        "create p99 ms": _percentile(created, 0.99),
        "p50 ms": _percentile(known, 0.5),
        "p99 ms": _percentile(known, 0.99),
    }


async def throughput(stand: Stand, callers: int, seconds: float) -> dict[str, float]:
    """So many callers, each with one task after the other."""
    done: list[float] = []
    before = stand.cpu_seconds()
    began = time.perf_counter()
    until = began + seconds

    async def call() -> None:
        caller = Caller(stand.service)
        try:
            while (sent := time.perf_counter()) < until:
                await caller.result(await caller.create())
                done.append(time.perf_counter() - sent)
        finally:
            caller.close()

    async with asyncio.timeout(seconds + 60), asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call())
    seconds = time.perf_counter() - began
    after = stand.cpu_seconds()
    used = {f"{name} cpu ms/task": 1000 * (after[name] - before[name]) / len(done) for name in before}
    return {
        "tasks/s": len(done) / seconds,
        "p50 ms": _percentile(done, 0.5),
        "p99 ms": _percentile(done, 0.99),
        **used,
        "cpu ms/task": sum(used.values()),
    }


async def push(service: Service, times: int = 40) -> dict[str, float] | None:
    """Create a task, listen to it; nothing when the server does not push."""
    caller = Caller(service)
    known = []
    try:
        for _ in range(times):
            began = time.perf_counter()
            task = await caller.create(milliseconds=30)
            known.append(await caller.pushed(task) - began - 0.030)
    except (load.BadAnswer, TimeoutError):
        return None
    finally:
        caller.close()
    return {"p50 ms": _percentile(known, 0.5), "p99 ms": _percentile(known, 0.99)}


async def take_over(stand: Stand, label: str, patience: float) -> float | None:
    """Kill -9 the worker that has a task; seconds until another has begun it, or nothing in that time.

    Raises:
        Failed: no task came to a worker that we may kill.
    """
    await stand.add_worker()
    caller = Caller(stand.service)
    try:
        for attempt in range(20):
            name = f"{label}n{attempt}"
            await caller.create(name, 2000)
            process = (await stand.starts.begun(name, 1, 20))[0][0]
            victim = next((worker for worker in stand.workers if process in worker.family()), None)
            if victim is not None:
                break
        else:
            raise Failed("the web process took every task itself")
        stand.workers.remove(victim)
        os.kill(process, signal.SIGKILL)
        killed = time.monotonic()
        victim.kill()
        try:
            return (await stand.starts.begun(name, 2, patience))[1][1] - killed
        except TimeoutError:
            return None
    finally:
        caller.close()


async def behind(stand: Stand) -> dict[str, float]:
    """Tenant A has a thousand tasks waiting, tenant B one; seconds until B's has begun."""
    per_caller = BACKLOG // 20

    async def fill() -> None:
        caller = Caller(stand.service)
        try:
            for _ in range(per_caller):
                await caller.create("backlog", BACKLOG_MS)
        finally:
            caller.close()

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(fill())
    ahead = BACKLOG - len(stand.starts.of("backlog"))
    caller = Caller(stand.other_tenant)
    try:
        sent = time.monotonic()
        await caller.create("single", BACKLOG_MS)
        return {
            "seconds": (await stand.starts.begun("single", 1, 120))[0][1] - sent,
            "waiting before it": ahead,
        }
    finally:
        caller.close()


def _percentile(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def run() -> Report:
    """Measure both in turns."""
    say = progress(NAME)
    report = Report(NAME, "Durable tasks", (__doc__ or "").split("\n\n", 1)[1].strip())
    say("starting the servers")
    async with both(report, say) as stands:
        samples: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
        for number, order in rotations(list(stands), ROUNDS + 1):
            # The first round only warms up.
            seconds = SECONDS if number else 0.7
            for callers in CALLERS:
                for name in order:
                    if callers == 1:
                        found = await latency(stands[name].service, seconds)
                        if number:
                            samples["1 caller, one task after the other", name].append(found)
                    found = await throughput(stands[name], callers, seconds)
                    if number:
                        samples[_callers(callers), name].append(found)
            say(f"round {number} of {ROUNDS}")
        for (what, who), each in samples.items():
            report.rows.append(Row(what, who, medians(each)))
        await _pushes(report, stands)
        say("pushed")
        await _backlogs(report, stands, say)
        await _deaths(report, stands, say)
    if PEER not in stands:
        report.rows += results.recorded(NAME, PEER)
    _promise(report, samples)
    return report


def _callers(number: int) -> str:
    return f"{number} caller{'s' * (number > 1)}, throughput"


async def _pushes(report: Report, stands: Mapping[str, Stand]) -> None:
    for name, stand in stands.items():
        found = await push(stand.service)
        if found is None:
            report.remarks.append(f"{name} does not push the state of tasks (subscriptions/listen).")
        else:
            what = "1 caller, pushed (without the work of 30 ms)"
            report.rows.append(Row(what, name, found))
    report.promises.append(
        Promise(
            "completion is pushed (1: yes)",
            float(any(r.who == OURS and "pushed" in r.what for r in report.rows)),
            1,
            at_least=True,
        )
    )


async def _backlogs(report: Report, stands: Mapping[str, Stand], say: Callable[[str], None]) -> None:
    for name, stand in stands.items():
        found = await behind(stand)
        ahead, seconds = found["waiting before it"], found["seconds"]
        say(f"{name}: a single task behind {ahead:.0f} began after {seconds:.2f} s")
        report.rows.append(Row(f"tenant B's task behind A's {BACKLOG} of {BACKLOG_MS} ms", name, found))
        if name == OURS:
            text = (
                f"seconds until B's task begins behind A's {BACKLOG}, one task lasting {BACKLOG_MS / 1000} s"
            )
            report.promises.append(Promise(text, found["seconds"], BACKLOG_MS / 1000, "s"))
        stand.clear()


async def _deaths(report: Report, stands: Mapping[str, Stand], say: Callable[[str], None]) -> None:
    what = "task of a worker that was killed (-9)"
    for name, stand in stands.items():
        # What is left of the backlog would stand before the task.
        async with asyncio.timeout(60):
            await Caller(stand.other_tenant).result(await Caller(stand.other_tenant).create())
        tries = TAKE_OVER_TRIES if name == OURS else 1
        patience = 30.0 if name == OURS else PATIENCE
        found = [await take_over(stand, f"death{number}", patience) for number in range(tries)]
        seconds = [one for one in found if one is not None]
        told = ", ".join(f"{one:.2f} s" for one in seconds) or f"more than {patience:.0f} s"
        say(f"{name}: taken over after {told}")
        if len(seconds) == tries:
            report.rows.append(Row(what, name, {"seconds": statistics.median(seconds)}))
        else:
            report.remarks.append(
                f"{name}: not taken over within the {patience:.0f} s that this run waited; its lease is "
                "300 s by default. `BENCH_PATIENCE=400` waits for it."
            )
            report.rows += [row for row in results.recorded(NAME, name) if row.what == what]
        if name == OURS:
            worst = max(seconds) if len(seconds) == tries else patience
            report.promises.append(
                Promise(
                    f"seconds until a task of a killed worker has begun again, worst of {tries}",
                    worst,
                    TAKE_OVER_LIMIT,
                    "s",
                )
            )


def _promise(report: Report, samples: Mapping[tuple[str, str], list[dict[str, float]]]) -> None:
    alone = "1 caller, one task after the other"
    if (alone, PEER) not in samples:
        return

    def ratio(what: str, figure: str) -> float:
        return median_ratio(*([one[figure] for one in samples[what, who]] for who in (OURS, PEER)))

    for figure, text in (
        ("create p50 ms", "creating a task"),
        ("p50 ms", "creating it and knowing its result"),
    ):
        report.promises.append(Promise(f"p50 of {text} over the peer's", ratio(alone, figure), 2.0, "x"))
    # With one caller the rate is the latency once more.
    for number in CALLERS[1:]:
        text = f"tasks/s over the peer's, {number} callers"
        report.promises.append(Promise(text, ratio(_callers(number), "tasks/s"), 2.0, "x", at_least=True))
