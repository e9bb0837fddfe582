"""Who waits for jobs hears of each change, once, from one reader for all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.jobs import rules, waiting
from composer_mcp.jobs.durations import Durations
from composer_mcp.jobs.engine import JobRecord, JobState
from composer_mcp.jobs.hub import WaiterHub
from composer_mcp.settings import QueueSettings

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def job(**values: object) -> JobRecord:
    record = JobRecord(
        id=uuid4(),
        tenant="school",
        kind="get_composition",
        state=JobState.QUEUED,
        progress=0.0,
        progress_message="",
        created_at=NOW,
        updated_at=NOW,
        started_at=None,
        finished_at=None,
        result=None,
        error=None,
    )
    return replace(record, **values)


class Table:
    """The jobs as they are stored, and how often they were read."""

    def __init__(self, *jobs: JobRecord) -> None:
        self.jobs = {job.id: job for job in jobs}
        self.reads: list[set[UUID]] = []

    async def read(self, job_ids: Collection[UUID]) -> list[JobRecord]:
        self.reads.append(set(job_ids))
        return [self.jobs[job_id] for job_id in job_ids if job_id in self.jobs]


async def no_progress(fraction: float, message: str) -> None:
    """Nobody listens."""


async def test_all_who_wait_share_one_reading() -> None:
    jobs = [job() for _ in range(20)]
    table = Table(*jobs)
    hub = WaiterHub(table.read)
    ended: list[JobRecord] = []

    async def wait(job_id: UUID) -> None:
        ended.append(await waiting.wait_for(hub, job_id, no_progress, seconds=5, days=30))

    async with hub.run(), anyio.create_task_group() as group:
        for each in jobs:
            group.start_soon(wait, each.id)
        await anyio.wait_all_tasks_blocked()
        before = len(table.reads)
        for each in jobs:
            table.jobs[each.id] = replace(each, state=JobState.FAILED)
            hub.heard(each.id)
    assert len(ended) == 20 and len(table.reads) <= before + 2


@pytest.mark.parametrize("trouble", [asyncpg.OutOfMemoryError("no memory"), asyncpg.DiskFullError("full")])
async def test_whatever_the_database_lacks_for_a_moment_those_who_wait_hear_the_end(
    trouble: asyncpg.PostgresError,
) -> None:
    done = job(state=JobState.SUCCEEDED)
    table = Table(done)
    troubles = [trouble, trouble]

    async def read(job_ids: Collection[UUID]) -> list[JobRecord]:
        if troubles:
            raise troubles.pop()
        return await table.read(job_ids)

    hub = WaiterHub(read)
    async with hub.run():
        assert await waiting.wait_for(hub, done.id, no_progress, seconds=10, days=30) == done


async def test_a_change_that_was_not_announced_is_found_within_a_second() -> None:
    quiet = job()
    table = Table(quiet)
    hub = WaiterHub(table.read)
    async with hub.run(), anyio.create_task_group() as group:

        async def finish() -> None:
            await anyio.wait_all_tasks_blocked()
            table.jobs[quiet.id] = replace(quiet, state=JobState.SUCCEEDED)

        group.start_soon(finish)
        with anyio.fail_after(2):
            record = await waiting.wait_for(hub, quiet.id, no_progress, seconds=5, days=30)
    assert record.state is JobState.SUCCEEDED


async def test_others_being_busy_delays_no_look() -> None:
    quiet, busy = job(), job()
    table = Table(quiet, busy)
    hub = WaiterHub(table.read)
    async with hub.run(), anyio.create_task_group() as group:

        async def chatter() -> None:
            with hub.watch([busy.id]):
                while True:
                    hub.heard(busy.id)
                    await anyio.sleep(0.05)

        group.start_soon(chatter)
        await anyio.sleep(0.1)
        table.jobs[quiet.id] = replace(quiet, state=JobState.SUCCEEDED)
        with hub.watch([quiet.id]) as watch, anyio.fail_after(2):
            watch.tell(quiet.id, quiet)
            async for record in watch.news():
                if record.state.finished:
                    break
        group.cancel_scope.cancel()


async def test_a_job_made_here_is_not_read_before_something_is_announced() -> None:
    new = job()
    table = Table(new)
    hub = WaiterHub(table.read)
    async with hub.run():
        hub.expect(new.id)
        with hub.watch([new.id]):
            await anyio.wait_all_tasks_blocked()
            assert table.reads == []
        # Announced before anybody waited: then it is read at once.
        late = job(state=JobState.SUCCEEDED)
        table.jobs[late.id] = late
        hub.heard(late.id)
        hub.expect(late.id)
        assert await waiting.wait_for(hub, late.id, no_progress, seconds=5, days=30) == late


async def test_a_record_that_was_announced_as_a_whole_is_not_read() -> None:
    new = job()
    table = Table(new)
    hub = WaiterHub(table.read)
    done = replace(new, state=JobState.SUCCEEDED)
    async with hub.run(), anyio.create_task_group() as group:
        hub.expect(new.id)

        async def announce() -> None:
            await anyio.wait_all_tasks_blocked()
            hub.tell(done)
            hub.heard(new.id)

        group.start_soon(announce)
        assert await waiting.wait_for(hub, new.id, no_progress, seconds=5, days=30) == done
    assert table.reads == []


async def test_a_slow_follower_misses_steps_but_never_the_newest() -> None:
    running = job(state=JobState.RUNNING)
    hub = WaiterHub(Table(running).read)
    with hub.watch([running.id]) as watch:
        for step in range(1000):
            watch.tell(running.id, replace(running, progress=step / 1000))
        watch.tell(running.id, replace(running, state=JobState.CANCELLED))
        assert [record.state async for record in watch.news()] == [JobState.CANCELLED]


async def test_waiting_ends_with_a_question_with_the_limit_and_for_what_does_not_exist() -> None:
    asking, sleeping = job(state=JobState.INPUT_REQUIRED, input_requests={"a": {}}), job()
    hub = WaiterHub(Table(asking, sleeping).read)
    async with hub.run():
        assert await waiting.wait_for(hub, asking.id, no_progress, seconds=5, days=30) == asking
        for job_id, code in ((sleeping.id, "job_pending"), (uuid4(), "job_unknown")):
            with pytest.raises(ComposerError) as failure:
                await waiting.wait_for(hub, job_id, no_progress, seconds=0.2, days=30)
            assert failure.value.code.code == code
        with pytest.raises(ValueError, match="at most"):
            await anext(waiting.follow(hub, "school", [uuid4() for _ in range(waiting.WATCH_LIMIT + 1)]))


async def test_the_expected_time_is_declared_until_it_is_known() -> None:
    reads = 0

    async def read() -> dict[str, float]:
        nonlocal reads
        reads += 1
        return {"get_composition": 0.25}

    durations = Durations(read)
    assert durations.expected_seconds("get_composition") == 1
    await anyio.wait_all_tasks_blocked()
    assert [durations.expected_seconds("get_composition") for _ in range(3)] == [0.25] * 3
    assert durations.expected_seconds("preview_composition") == 8 and reads == 1
    await durations.close()


def test_answers_are_taken_as_far_as_they_were_asked_for() -> None:
    requests = {"name": {}, "age": {}}
    assert rules.take_answers(requests, {}, {"age": 9, "colour": "red"}) == ({"name": {}}, {"age": 9})
    assert rules.take_answers(requests, {"age": 8}, {"age": 9, "name": "A"}) == ({}, {"age": 9, "name": "A"})
    assert rules.take_answers({"age": {}}, {"age": 8}, {}) == ({"age": {}}, {"age": 8})


def test_a_cancelled_job_says_whether_something_may_have_been_saved() -> None:
    told = {
        (kind, begun): rules.cancelled(uuid4(), kind, begun=begun).sentence
        for kind in ("create_composition", "get_composition")
        for begun in (False, True)
    }
    assert "may have been saved" in told["create_composition", True]
    assert all(
        "may have" not in sentence for key, sentence in told.items() if key != ("create_composition", True)
    )


def test_a_refusal_says_whose_places_are_taken_and_when_to_come_back() -> None:
    error = rules.refused(QueueSettings(), tenant_full=True, waiting=100, retry_after=7)
    assert error.details["retry_after"] == 7 and "of this tenant" in error.sentence
    assert error.remedy.startswith("Wait 7 s")
    error = rules.refused(QueueSettings(), tenant_full=False, waiting=1000, retry_after=7)
    assert "of all tenants" in error.sentence and error.details["limit"] == QueueSettings().total_limit
