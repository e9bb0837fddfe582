"""How fast a warm pool shows a composition, what a further job costs, what a thousand leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from benchmarks.browser_stand import PEER, Stand, Worker, fresh, peer, peer_version, standing, working
from benchmarks.measure import Promise, Report, Row, median_ratio, progress, rotations
from benchmarks.peers_at_hand import PeerMissing
from benchmarks.processes import descendants, pss_mib
from composer_mcp.browser.extent import Extent

EXTENTS: tuple[Extent, ...] = ("window", "page")
OURS, FRESH = "warm pool", "fresh browser"
#: The first round only warms up.
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "8"))
JOBS = int(os.environ.get("BENCH_JOBS", "1000"))
LANES = 2
PAUSE_SECONDS = 0.5
CONCURRENCY = (1, 2, 4, 8)
LOAD_SECONDS = 8.0
SAMPLE_SECONDS = 0.2
MEMORY_LIMIT_MIB = 40.0
FASTER_THAN_FRESH = 5.0
#: Between the first tenth of the jobs and their end; a browser that is replaced on the way is as small again.
GROWTH_LIMIT = 1.1


async def run(report: Report) -> None:
    """Add rows and promises to a report."""
    say = progress("browser")
    # Lines of a log are no part of what is measured.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with standing() as stand:
        await _speed(stand, report, say)
        await _memory(stand, report, say)
        await _in_a_row(stand, report, say)


async def _speed(stand: Stand, report: Report, say: Callable[[str], None]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        worker = await stack.enter_async_context(working(stand, LANES))
        ways: dict[str, Callable[[Extent], Awaitable[object]]] = {
            OURS: worker.preview,
            FRESH: lambda extent: fresh(stand, extent),
        }
        try:
            ways[PEER] = (await stack.enter_async_context(peer(stand))).preview
            report.versions[PEER] = peer_version()
        except PeerMissing as missing:
            report.remarks.append(str(missing))
        for extent in EXTENTS:
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for number, order in rotations(list(ways), ROUNDS + 1):
                say(f"compositions one after the other, picture of the {extent}: round {number} of {ROUNDS}")
                for name in order:
                    # Neither its making nor what the one before leaves is counted against whoever comes next.
                    await worker.is_ready()
                    await asyncio.sleep(PAUSE_SECONDS)
                    began = time.monotonic()
                    await ways[name](extent)
                    if number:
                        seconds[name].append(time.monotonic() - began)
            _compare(extent, seconds, report)


def _compare(extent: Extent, seconds: dict[str, list[float]], report: Report) -> None:
    for name, found in seconds.items():
        figures = {"p50 ms": statistics.median(found) * 1000, "slowest ms": max(found) * 1000}
        report.rows.append(Row(f"log in, open a lesson, picture of the {extent}", name, figures))
    for name, limit in ((FRESH, FASTER_THAN_FRESH), (PEER, 1.0)):
        if name in seconds:
            ratio = median_ratio(seconds[name], seconds[OURS])
            told = f"times as fast as {name}, picture of the {extent}"
            report.promises.append(Promise(told, ratio, limit, "x", at_least=True))


async def _memory(stand: Stand, report: Report, say: Callable[[str], None]) -> None:
    peaks = {}
    for lanes in CONCURRENCY:
        say(f"memory with {lanes} jobs at a time")
        async with working(stand, lanes) as worker:
            stop = asyncio.Event()
            lanes_running = [asyncio.create_task(_until(stop, worker)) for _ in range(lanes)]
            # Until every lane has had its page.
            await asyncio.sleep(2)
            samples = []
            give_up = time.monotonic() + LOAD_SECONDS
            while time.monotonic() < give_up:
                samples.append(await asyncio.to_thread(chromium_mib))
                await asyncio.sleep(SAMPLE_SECONDS)
            stop.set()
            done = sum(await asyncio.gather(*lanes_running))
        peaks[lanes] = statistics.quantiles(samples, n=20)[-1]
        figures = {"MiB mean": statistics.mean(samples), "MiB p95": peaks[lanes], "jobs done": done}
        report.rows.append(Row("under load, jobs at a time", str(lanes), figures))
    each = (peaks[CONCURRENCY[-1]] - peaks[CONCURRENCY[0]]) / (CONCURRENCY[-1] - CONCURRENCY[0])
    report.promises.append(Promise("memory of a further concurrent job", each, MEMORY_LIMIT_MIB, "MiB"))


async def _until(stop: asyncio.Event, worker: Worker) -> int:
    done = 0
    while not stop.is_set():
        await worker.preview()
        done += 1
    return done


async def _in_a_row(stand: Stand, report: Report, say: Callable[[str], None]) -> None:
    marks: list[tuple[float, float]] = []
    failed = 0
    async with working(stand, LANES) as worker:
        # Each lane takes the next number; all see the same queue.
        numbers = iter(range(1, JOBS + 1))

        async def lane() -> None:
            nonlocal failed
            for number in numbers:
                try:
                    await worker.preview()
                except Exception as error:
                    failed += 1
                    report.remarks.append(f"job {number}: {type(error).__name__}: {str(error)[:200]}")
                if number % max(1, JOBS // 10) == 0:
                    browser = await asyncio.to_thread(chromium_mib)
                    marks.append((browser, await asyncio.to_thread(pss_mib, [os.getpid()])))
                    say(f"{number} jobs: Chromium {browser:.0f} MiB, worker {marks[-1][1]:.0f} MiB")

        began = time.monotonic()
        await asyncio.gather(*(lane() for _ in range(LANES)))
        seconds = time.monotonic() - began
    left = [process for process in descendants(os.getpid()) if is_chromium(process)]
    folders = await asyncio.to_thread(lambda: list(stand.chromium.folder.glob("composer-browser-*")))
    half = len(marks) // 2
    for place, name in ((0, "Chromium"), (1, "worker")):
        early = statistics.median(mark[place] for mark in marks[:half])
        late = statistics.median(mark[place] for mark in marks[half:])
        figures = {"MiB first half": early, "MiB second half": late}
        report.rows.append(Row(f"{JOBS} jobs, {LANES} at a time", name, figures))
        report.promises.append(
            Promise(f"growth of the {name} over {JOBS} jobs", late / early, GROWTH_LIMIT, "x")
        )
    report.rows.append(Row(f"{JOBS} jobs, {LANES} at a time", "rate", {"jobs/s": JOBS / seconds}))
    report.promises += [
        Promise(f"jobs that failed of {JOBS}", failed, 0),
        Promise("processes left behind", len(left), 0),
        Promise("folders left behind", len(folders), 0),
    ]


def is_chromium(process: int) -> bool:
    """Whether a process is one of Chromium's, and not the driver that controls it."""
    try:
        return b"chrom" in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0", 1)[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def chromium_mib() -> float:
    """Proportional set size of all Chromium processes below this one, in MiB."""
    return pss_mib([process for process in descendants(os.getpid()) if is_chromium(process)])
