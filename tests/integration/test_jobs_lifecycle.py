"""Jobs are cancelled, ask a person, and are followed: what is promised of each, on the real queue."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.jobs import upkeep
from composer_mcp.jobs.engine import JobRecord, JobState
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.jobs.requests import CreateComposition, GetComposition
from composer_mcp.store import database

from .support.installation import Platform
from .support.processes import Process
from .test_jobs import until
from .test_jobs_in_trouble import pool_of

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def engine_of(platform: Platform) -> AsyncIterator[PostgresJobEngine]:
    password = platform.secrets.read("database-password")
    options = database.connection_options(platform.settings.postgresql, password, application="test")
    async with PostgresJobEngine.open(platform.settings, options) as engine:
        yield engine


@pytest.fixture
async def engine(serving: Platform) -> AsyncIterator[PostgresJobEngine]:
    async with engine_of(serving) as engine:
        yield engine


async def submit(engine: PostgresJobEngine, uid: str, tenant: str = "school", key: str = "") -> uuid.UUID:
    request = GetComposition(uid=uid)
    return (await engine.submit(tenant, key or uuid.uuid4().hex, request, "correlation")).job_id


async def no_progress(fraction: float, message: str) -> None:
    """Nobody listens."""


async def in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    return await anyio.to_thread.run_sync(call, *arguments)


def code_of(record: JobRecord) -> str:
    with pytest.raises(ComposerError) as failure:
        record.outcome()
    return failure.value.code.code


async def test_a_waiting_job_is_cancelled_at_once_and_never_begun(platform: Platform) -> None:
    async with engine_of(platform) as engine:
        job_id = await submit(engine, "sit-0001")
        record = await engine.cancel("school", job_id)
        waited = await engine.wait(job_id, no_progress)
        assert record.state is waited.state is JobState.CANCELLED
        assert code_of(record) == "job_cancelled"
        assert record.error is not None and "nothing was saved" in record.error["message"]
        assert record.finished_at is not None
        assert platform.sql("select count(*) from pgqueuer") == "0"
        await in_thread(platform.start_tame_worker)
        after = await submit(engine, "sit-0002")
        assert (await engine.wait(after, no_progress)).state is JobState.SUCCEEDED
        assert (await engine.get("school", job_id)).state is JobState.CANCELLED
    assert platform.sql(f"select epoch from job where id = '{job_id}'") == "0"


#: Far less than the minute that the job takes, and enough for a machine that is busy with other tests.
SOON_SECONDS = 20


async def test_a_running_job_is_stopped_at_once(
    serving: Platform, standing_worker: Process, engine: PostgresJobEngine
) -> None:
    lesson = {"title": "Cells", "elements": [{"type": "text", "text": "A cell."}]}
    job_id = await submit(engine, "sit-60000")
    await in_thread(standing_worker.wait_for, "tame.begun")
    began = time.monotonic()
    record = await engine.cancel("school", job_id)
    await in_thread(standing_worker.wait_for, "tame.stopped")
    assert time.monotonic() - began < SOON_SECONDS
    assert record.state is JobState.CANCELLED and code_of(record) == "job_cancelled"
    await in_thread(standing_worker.wait_for, '"outcome": "cancelled"')
    request = CreateComposition.model_validate({"lesson": lesson})
    after = await engine.submit("school", "key-after", request, "correlation")
    assert (await engine.wait(after.job_id, no_progress)).state is JobState.SUCCEEDED
    assert await engine.get("school", job_id) == record


async def test_a_running_job_is_stopped_also_when_nobody_tells_its_worker(
    serving: Platform, standing_worker: Process, engine: PostgresJobEngine
) -> None:
    job_id = await submit(engine, "sit-60000")
    await in_thread(standing_worker.wait_for, "tame.begun")
    serving.sql(f"update job set state = 'cancelled' where id = '{job_id}'")
    began = time.monotonic()
    await in_thread(standing_worker.wait_for, "tame.stopped")
    assert time.monotonic() - began < SOON_SECONDS
    await in_thread(standing_worker.wait_for, '"outcome": "lost"')


async def test_what_is_finished_is_not_cancelled_and_foreign_jobs_are_unknown(
    serving: Platform, engine: PostgresJobEngine
) -> None:
    job_id = await submit(engine, "sit-0001")
    done = await engine.wait(job_id, no_progress)
    assert await engine.cancel("school", job_id) == done
    assert await engine.answer("school", job_id, {"name": "x"}) == done
    for call in (engine.cancel("other", job_id), engine.answer("other", job_id, {"name": "x"})):
        with pytest.raises(ComposerError) as failure:
            await call
        assert failure.value.code.code == "job_unknown"


async def test_the_same_call_does_a_cancelled_job_after_all(platform: Platform) -> None:
    async with engine_of(platform) as engine:
        job_id = await submit(engine, "sit-0001", key="key-0001")
        cancelled = await engine.cancel("school", job_id)
        again = await submit(engine, "sit-0001", key="key-0001")
        assert again != job_id and await submit(engine, "sit-0001", key="key-0001") == again
        await in_thread(platform.start_tame_worker)
        record = await engine.wait(again, no_progress)
        # What has ended stays as it ended, for whoever follows it.
        assert await engine.get("school", job_id) == cancelled
        assert await submit(engine, "sit-0001", key="key-0001") == again
    assert record.state is JobState.SUCCEEDED and record.error is None


@pytest.mark.chaos
async def test_a_frozen_worker_that_wakes_up_changes_nothing_that_is_finished(platform: Platform) -> None:
    frozen = platform.start_tame_worker()
    async with engine_of(platform) as engine:
        cancelled = await submit(engine, platform.hold("cancelled"))
        taken = await submit(engine, platform.hold("taken"))
        await in_thread(frozen.wait_for, "tame.begun", 20, frozen.wait_for("tame.begun"))
        frozen.signal(signal.SIGSTOP)
        before = await engine.cancel("school", cancelled)
        heir = await in_thread(platform.start_tame_worker)
        await in_thread(heir.wait_for, "tame.begun")
        # Both the heir's work and the frozen one's go on; the frozen one is not there to do so yet.
        platform.release("taken", jobs=2)
        platform.release("cancelled")
        done = await engine.wait(taken, no_progress)
        frozen.signal(signal.SIGCONT)
        end = await in_thread(frozen.wait_for, "job.finished")
        await in_thread(frozen.wait_for, "job.finished", 20, end)
        # The worker that woke up is well: it goes on taking jobs, when there is no other.
        heir.signal(signal.SIGTERM)
        await in_thread(heir.wait)
        after = await submit(engine, "sit-0001")
        assert (await engine.wait(after, no_progress)).state is JobState.SUCCEEDED
        assert await engine.get("school", cancelled) == before
        assert await engine.get("school", taken) == done
    assert before.state is JobState.CANCELLED and done.state is JobState.SUCCEEDED
    assert done.result is not None and done.result["document"]["attempt"] == 2
    assert '"outcome": "succeeded"' not in frozen.output.split(str(after))[0]


async def test_a_job_asks_a_person_and_goes_on_with_the_answers(
    serving: Platform, standing_worker: Process, engine: PostgresJobEngine
) -> None:
    job_id = await submit(engine, "ask-name.age")
    asked = await engine.wait(job_id, no_progress)
    assert asked.state is JobState.INPUT_REQUIRED
    assert asked.input_requests == {
        "name": {"message": "What is name?"},
        "age": {"message": "What is age?"},
    }
    assert code_of(asked) == "job_needs_input"
    # Whoever waits for a person holds no worker.
    await in_thread(standing_worker.wait_for, '"outcome": "input_required"')
    assert serving.sql("select count(*) from pgqueuer where status = 'picked'") == "0"
    unknown = await engine.answer("school", job_id, {"colour": "red"})
    assert (unknown.state, unknown.input_requests) == (asked.state, asked.input_requests)
    partly = await engine.answer("school", job_id, {"name": "Ana", "colour": "red"})
    assert partly.state is JobState.INPUT_REQUIRED and partly.input_requests is not None
    assert list(partly.input_requests) == ["age"]
    begun = serving.sql("select first_started_at from job")
    await engine.answer("school", job_id, {"age": 9})
    record = await engine.wait(job_id, no_progress)
    assert record.state is JobState.SUCCEEDED and record.input_requests is None
    assert record.result is not None
    assert record.result["document"] == {"attempt": 2, "z": 1, "a": 2, "name": "Ana", "age": 9}
    assert serving.sql("select first_started_at from job") == begun
    assert serving.sql("select epoch, attempts, generation from job") == "2|1|2"


async def test_an_answer_does_not_count_as_a_worker_that_died(platform: Platform) -> None:
    platform.configure(worker={"attempt_limit": 1})
    await in_thread(platform.start_tame_worker)
    async with engine_of(platform) as engine:
        job_id = await submit(engine, "ask-name")
        for _ in range(2):
            assert (await engine.wait(job_id, no_progress)).state is JobState.INPUT_REQUIRED
            await engine.answer("school", job_id, {})
        await engine.answer("school", job_id, {"name": "Ana"})
        assert (await engine.wait(job_id, no_progress)).state is JobState.SUCCEEDED


async def test_a_job_that_asks_can_be_cancelled(serving: Platform, engine: PostgresJobEngine) -> None:
    job_id = await submit(engine, "ask-name")
    await engine.wait(job_id, no_progress)
    record = await engine.cancel("school", job_id)
    assert record.state is JobState.CANCELLED and record.input_requests is None
    assert await engine.answer("school", job_id, {"name": "Ana"}) == record


async def test_a_question_that_nobody_answers_ends_the_job(platform: Platform) -> None:
    platform.configure(queue={"input_seconds": 0.1})
    await in_thread(platform.start_tame_worker)
    async with engine_of(platform) as engine, pool_of(platform) as pool:
        job_id = await submit(engine, "ask-name", key="key-0001")
        await engine.wait(job_id, no_progress)
        await until(platform, "select count(*) from job where input_deadline < clock_timestamp()", "1")
        assert await upkeep.give_up_asking(pool, platform.settings.queue) == 1
        assert await upkeep.give_up_asking(pool, platform.settings.queue) == 0
        record = await engine.get("school", job_id)
        assert record.state is JobState.FAILED and code_of(record) == "input_timeout"
        # It may be asked again by the same call.
        again = await submit(engine, "ask-name", key="key-0001")
        assert (await engine.wait(again, no_progress)).state is JobState.INPUT_REQUIRED
        assert await engine.get("school", job_id) == record


async def test_jobs_that_wait_for_an_answer_are_bounded(platform: Platform) -> None:
    platform.configure(queue={"per_tenant_limit": 2})
    await in_thread(platform.start_tame_worker)
    async with engine_of(platform) as engine:
        for _ in range(2):
            assert (await engine.wait(await submit(engine, "ask-name"), no_progress)).input_requests
        with pytest.raises(ComposerError) as failure:
            await submit(engine, "ask-name")
        assert failure.value.code.code == "queue_full"
        await submit(engine, "sit-0001", tenant="other")


async def test_whoever_follows_jobs_hears_each_change_and_the_end(
    serving: Platform, engine: PostgresJobEngine
) -> None:
    own, foreign = await submit(engine, "ask-name"), await submit(engine, "sit-0001", tenant="other")
    heard: list[JobRecord] = []
    with anyio.fail_after(20):
        async for record in engine.watch("school", [own, foreign, uuid.uuid4()]):
            heard.append(record)
            if record.state is JobState.INPUT_REQUIRED:
                await engine.answer("school", own, {"name": "Ana"})
    assert {record.id for record in heard} == {own}
    states = [record.state for record in heard]
    assert states.index(JobState.INPUT_REQUIRED) < len(states) - 1
    assert heard[-1] == await engine.get("school", own) and heard[-1].state is JobState.SUCCEEDED
    assert [record.updated_at for record in heard] == sorted(record.updated_at for record in heard)
    # What is finished already is told once.
    assert [record async for record in engine.watch("school", [own])] == [heard[-1]]
    assert [record async for record in engine.watch("school", [foreign, uuid.uuid4()])] == []


async def test_changes_are_heard_from_any_process(platform: Platform) -> None:
    async with engine_of(platform) as first, engine_of(platform) as second:
        job_id = await submit(first, "sit-0001")
        states = []
        with anyio.fail_after(20):
            async for record in second.watch("school", [job_id]):
                states.append(record.state)
                if record.state is JobState.QUEUED:
                    await first.cancel("school", job_id)
    assert states == [JobState.QUEUED, JobState.CANCELLED]


async def test_the_expected_time_follows_what_jobs_took_lately(
    serving: Platform, engine: PostgresJobEngine
) -> None:
    declared = engine.expected_seconds("get_composition")
    assert declared == 1
    await engine.wait(await submit(engine, "sit-0200"), no_progress)
    async with engine_of(serving) as other:
        with anyio.fail_after(20):
            while other.expected_seconds("get_composition") == declared:
                await anyio.lowlevel.checkpoint()
        assert 0.2 <= other.expected_seconds("get_composition") < 0.9
        assert other.expected_seconds("preview_composition") == 8


BEGUN_MEANWHILE = """
    select count(*) from job join job as other on other.tenant = 'other'
    where job.tenant <> 'other' and job.first_started_at between other.created_at and other.first_started_at
"""


async def test_one_job_behind_a_thousand_of_another_tenant_waits_at_most_one_turn(
    platform: Platform,
) -> None:
    platform.configure(queue={"per_tenant_limit": 1000})
    async with engine_of(platform) as engine:
        for _ in range(20):
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(submit, engine, "sit-0100")
        worker = await in_thread(platform.start_tame_worker)
        await in_thread(worker.wait_for, "job.finished")
        record = await engine.wait(await submit(engine, "sit-0001", tenant="other"), no_progress)
        waiting = int(platform.sql("select count(*) from job where state = 'queued'"))
        worker.signal(signal.SIGKILL)
    assert record.state is JobState.SUCCEEDED and waiting > 900
    # One that was being begun just then, and one turn.
    assert int(platform.sql(BEGUN_MEANWHILE)) <= 2
