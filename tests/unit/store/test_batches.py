"""Many callers share one statement, and none of them pays for another."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from composer_mcp.store.batches import BATCH_LIMIT, Batches

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Database:
    """Doubles numbers, when it is let; knows in which portions it was asked."""

    def __init__(self) -> None:
        self.open = anyio.Event()
        self.portions: list[list[int]] = []

    async def double(self, numbers: Sequence[int]) -> list[int]:
        self.portions.append(list(numbers))
        await self.open.wait()
        if 13 in numbers:
            raise ValueError("thirteen")
        if 7 in numbers:
            raise ConnectionError("away")
        return [2 * number for number in numbers]


async def ask(batches: Batches[int, int], number: int, answers: dict[int, object]) -> None:
    try:
        answers[number] = await batches.do(number)
    except (ValueError, ConnectionError) as error:
        answers[number] = str(error)


async def run(database: Database, numbers: Sequence[int]) -> dict[int, object]:
    batches = Batches(database.double, common=(ConnectionError,))
    answers: dict[int, object] = {}
    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(ask, batches, number, answers)
        await anyio.wait_all_tasks_blocked()
        database.open.set()
    return answers


async def test_who_comes_alone_is_served_at_once_and_who_comes_meanwhile_together() -> None:
    database = Database()
    batches = Batches(database.double, common=())
    answers: dict[int, object] = {}
    async with anyio.create_task_group() as group:
        group.start_soon(ask, batches, 1, answers)
        await anyio.wait_all_tasks_blocked()
        for number in (2, 3, 4):
            group.start_soon(ask, batches, number, answers)
        await anyio.wait_all_tasks_blocked()
        assert database.portions == [[1]]
        database.open.set()
    assert database.portions == [[1], [2, 3, 4]]
    assert answers == {1: 2, 2: 4, 3: 6, 4: 8}


async def test_a_portion_is_bounded() -> None:
    database = Database()
    answers = await run(database, range(100, 400))
    assert answers == {number: 2 * number for number in range(100, 400)}
    assert max(len(portion) for portion in database.portions) == BATCH_LIMIT


async def test_one_that_fails_takes_no_other_with_it() -> None:
    assert await run(Database(), [1, 13, 2]) == {1: 2, 13: "thirteen", 2: 4}


async def test_what_is_nobodys_fault_is_told_to_all_without_a_second_try() -> None:
    database = Database()
    assert await run(database, [1, 7, 2]) == {1: "away", 7: "away", 2: "away"}
    assert len(database.portions) == 1


async def test_who_left_before_it_began_is_left_out() -> None:
    database = Database()
    batches = Batches(database.double, common=())
    answers: dict[int, object] = {}
    async with anyio.create_task_group() as group:
        group.start_soon(ask, batches, 1, answers)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(ask, batches, 2, answers)
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        group.start_soon(ask, batches, 3, answers)
        await anyio.wait_all_tasks_blocked()
        database.open.set()
    assert database.portions == [[1], [3]] and answers == {1: 2, 3: 6}
