"""Workers and databases that die, freeze and come back, under load: each accepted job ends exactly once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from .support.authority import Authority
from .support.installation import Platform
from .support.issuer import Issuer
from .support.ledger import Ledger
from .support.processes import Process
from .support.standby import Primary, Standby
from .test_jobs_lifecycle import engine_of, in_thread

pytestmark = [pytest.mark.anyio, pytest.mark.chaos, pytest.mark.timeout(400)]

TAKEN_OVER = """
select count(*) from job where jsonb_array_length(history) > 1 and history -> 0 ->> 'worker' like '%/{}'
"""


@pytest.fixture
def busy(platform: Platform) -> Platform:
    platform.configure(worker={"concurrency": 4})
    return platform


def two_workers(platform: Platform) -> list[Process]:
    return [platform.start_tame_worker() for _ in range(2)]


async def test_workers_that_are_killed_one_after_the_other_lose_nothing(busy: Platform) -> None:
    workers = await in_thread(two_workers, busy)
    async with engine_of(busy) as engine:
        ledger = Ledger(busy, engine)
        async with ledger.calling():
            for _ in range(3):
                victim = workers.pop(0)
                await ledger.next_end(time.monotonic())
                victim.signal(signal.SIGKILL)
                await in_thread(victim.wait)
                workers.append(await in_thread(busy.start_tame_worker))
                await ledger.next_end(time.monotonic())
        ledger.check(busy)


async def test_a_worker_that_freezes_and_wakes_up_does_nothing_twice(busy: Platform) -> None:
    frozen, _ = await in_thread(two_workers, busy)
    async with engine_of(busy) as engine:
        ledger = Ledger(busy, engine)
        async with ledger.calling():
            for _ in range(2):
                await ledger.next_end(time.monotonic())
                frozen.signal(signal.SIGSTOP)
                await anyio.sleep(6)
                frozen.signal(signal.SIGCONT)
                await ledger.next_end(time.monotonic() + 2)
        ledger.check(busy)
    # Something was really taken from it, and it found out.
    assert int(busy.sql(TAKEN_OVER.format(frozen.pid))) > 0
    assert '"outcome": "lost"' in frozen.output


async def test_a_host_that_goes_silent_with_all_its_workers_loses_nothing(busy: Platform) -> None:
    """A host without power says no good-bye: its connections stay open, and nothing comes through them."""
    silent = await in_thread(two_workers, busy)
    await in_thread(busy.start_tame_worker)
    async with engine_of(busy) as engine:
        ledger = Ledger(busy, engine)
        async with ledger.calling():
            await ledger.next_end(time.monotonic())
            for worker in silent:
                worker.signal(signal.SIGSTOP)
            await ledger.next_end(time.monotonic() + 6)
        ledger.check(busy)
    for worker in silent:
        worker.kill()
        assert int(busy.sql(TAKEN_OVER.format(worker.pid))) > 0


async def test_both_workers_killed_at_once_are_survived_by_what_starts_next(busy: Platform) -> None:
    workers = await in_thread(two_workers, busy)
    async with engine_of(busy) as engine:
        ledger = Ledger(busy, engine)
        async with ledger.calling():
            await ledger.next_end(time.monotonic())
            for worker in workers:
                worker.signal(signal.SIGKILL)
            await in_thread(busy.start_tame_worker)
            await ledger.next_end(time.monotonic())
        ledger.check(busy, least=12)


@pytest.mark.parametrize("seconds", [3, 30])
async def test_a_database_that_dies_and_comes_back_loses_nothing(busy: Platform, seconds: int) -> None:
    await in_thread(two_workers, busy)
    async with engine_of(busy) as engine:
        ledger = Ledger(busy, engine)
        async with ledger.calling():
            await ledger.next_end(time.monotonic())
            await in_thread(busy.postgres.stop)
            await anyio.sleep(seconds)
            await in_thread(busy.postgres.start)
            back = time.monotonic()
            recovered = await ledger.next_end(back)
            await ledger.next_end(time.monotonic() + 2)
        ledger.check(busy)
    assert recovered < 30, f"nothing ended for {recovered:.1f} s after the database was back"


@pytest.fixture
def primary(authority: Authority) -> Iterator[Primary]:
    server = Primary(authority)
    yield server
    server.remove()


@pytest.fixture
def pair(
    tmp_path: Path, primary: Primary, issuer: Issuer, authority: Authority
) -> Iterator[tuple[Platform, Standby]]:
    """A platform whose database has a follower; both are in its configuration."""
    primary.create_database("composer")
    platform = Platform(tmp_path, primary, issuer, authority, "composer")
    standby = primary.follow()
    hosts = [f"localhost:{primary.port}", f"localhost:{standby.port}"]
    platform.configure(worker={"concurrency": 4}, database={"hosts": hosts})
    yield platform, standby
    platform.stop()


async def test_a_fail_over_to_the_second_database_loses_nothing(
    pair: tuple[Platform, Standby], primary: Primary
) -> None:
    platform, standby = pair
    await in_thread(two_workers, platform)
    async with engine_of(platform) as engine:
        ledger = Ledger(platform, engine)
        async with ledger.calling():
            await ledger.next_end(time.monotonic())
            await in_thread(primary.stop)
            await in_thread(standby.promote)
            promoted = time.monotonic()
            platform.postgres = standby
            recovered = await ledger.next_end(promoted)
            await ledger.next_end(time.monotonic() + 2)
        ledger.check(platform)
    assert recovered < 30, f"nothing ended for {recovered:.1f} s after the fail-over"
