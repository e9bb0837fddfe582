"""Whoever finds the queue full is told when to come back, by how fast it really empties."""

from __future__ import annotations

import asyncio
import time

import pytest

from composer_mcp.errors import STORE_UNAVAILABLE
from composer_mcp.jobs import overload
from composer_mcp.jobs.overload import LONGEST_SECONDS, UNKNOWN_SECONDS, Appointments, Pace

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def appointments(pace: Pace, share: float = 1.0) -> Appointments:
    async def read() -> Pace:
        return pace

    return Appointments(read, share)


async def test_the_time_follows_the_pace_of_whose_places_are_taken() -> None:
    pace = Pace({"fast": 120, "slow": 6}, 60.0)
    assert await appointments(pace).retry_after("fast") == 1
    assert await appointments(pace).retry_after("slow") == 10
    assert await appointments(pace).retry_after(None) == 1
    # Of a tenant that has only just come, nothing is known but what the others get.
    assert await appointments(Pace({"fast": 24}, 60.0)).retry_after("new") == 5


async def test_callers_are_sent_back_one_after_the_other() -> None:
    line = appointments(Pace({"school": 60}, 60.0))
    assert [await line.retry_after("school") for _ in range(5)] == [1, 2, 3, 4, 5]
    # Another tenant's places, or a share of the callers, make a line of its own.
    assert await line.retry_after(None) == 1
    halved = appointments(Pace({"school": 60}, 60.0), 1 / 2)
    assert [await halved.retry_after("school") for _ in range(3)] == [2, 4, 6]


async def test_ten_times_the_load_is_sent_away_for_minutes_at_most() -> None:
    line = appointments(Pace({"school": 60}, 60.0))
    told = [await line.retry_after("school") for _ in range(1000)]
    assert told == sorted(told) and told[-1] == LONGEST_SECONDS
    assert len(set(told)) == LONGEST_SECONDS


async def test_nobody_is_left_without_a_time_when_the_pace_is_unknown() -> None:
    assert await appointments(Pace({}, 1.0)).retry_after("school") == UNKNOWN_SECONDS

    async def away() -> Pace:
        raise STORE_UNAVAILABLE.error(store="database", state="")

    assert await Appointments(away).retry_after("school") == UNKNOWN_SECONDS


async def test_a_flood_of_refusals_is_no_flood_of_questions() -> None:
    asked = 0

    async def read() -> Pace:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return Pace({"school": 10}, 10.0)

    line = Appointments(read)
    began = time.monotonic()
    await asyncio.gather(*(line.retry_after(f"tenant-{number}") for number in range(5000)))
    assert asked <= 1 + (time.monotonic() - began) / overload.FRESH_SECONDS
    assert len(line._next) <= overload.LINES_LIMIT


async def test_of_a_flood_those_are_remembered_who_were_refused_last() -> None:
    # A minute for each place.
    line = appointments(Pace({"each": 2}, 60.0))
    for number in range(overload.LINES_LIMIT):
        assert await line.retry_after(f"tenant-{number}") == 60
    assert await line.retry_after("tenant-0") > 60
    await line.retry_after("one more")
    assert await line.retry_after("tenant-0") > 120
    assert await line.retry_after("tenant-1") == 60


async def test_the_queue_is_counted_while_it_is_needed_and_counting_survives_the_database() -> None:
    counted: asyncio.Queue[int] = asyncio.Queue()
    needed = False

    async def count() -> None:
        counted.put_nowait(1)
        raise STORE_UNAVAILABLE.error(store="database", state="")

    async with overload.counting(count, lambda: needed, seconds=0.01):
        await asyncio.sleep(0.05)
        assert counted.empty()
        needed = True
        async with asyncio.timeout(5):
            for _ in range(3):
                await counted.get()
