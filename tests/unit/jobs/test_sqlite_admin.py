"""Operators of a server that runs alone see and do the same as those of a platform."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.admin import Filter
from composer_mcp.jobs.admin_views import detail_of, summary_of
from composer_mcp.jobs.embedded_engine import EmbeddedJobEngine
from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.requests import GetComposition
from composer_mcp.jobs.sqlite_admin import SqliteJobAdmin
from composer_mcp.store.sqlite import Sqlite
from tests.unit.jobs.house import House, no_progress

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def submit(engine: EmbeddedJobEngine, uid: str, key: str = "") -> uuid.UUID:
    request = GetComposition(uid=uid)
    return (await engine.submit("local", key or uuid.uuid4().hex, request, "correlation")).job_id


async def test_jobs_are_listed_newest_first_and_narrowed(house: House) -> None:
    async with house.engine() as engine:
        made = [await submit(engine, uid) for uid in ("read-1", "fail-for-good", "read-2")]
        for job_id in made:
            await engine.wait(job_id, no_progress)

        async def listed(**which: Any) -> list[uuid.UUID]:
            return [job.job_id for job in await engine.operators.list(Filter(**which))]

        assert await listed() == await listed(kind="get_composition", tenant="local") == made[::-1]
        assert await listed(state="failed") == [made[1]] and await listed(state="dead") == []
        assert await listed(limit=1) == [made[2]] and await listed(before=made[1]) == [made[0]]
        assert await listed(tenant="other") == []
        (failed,) = await engine.operators.list(Filter(state="failed"))
        assert summary_of(failed)["error_code"] == "no_heading" and failed.short and not failed.dead


async def test_a_dead_job_is_repeated_once_whoever_asks_and_however_often(house: House) -> None:
    async with house.engine(worker={"attempt_limit": 1}) as engine:
        job_id = await submit(engine, "hold-1", key="key-0001")
        await house.begun.get()
        # Its process went down with it, as far as the table knows.
        house.sql("update job set attempts = 1, state = 'queued', owner = null, generation = generation + 1")
    async with house.engine(worker={"attempt_limit": 1}) as engine:
        assert (await engine.wait(job_id, no_progress)).state is JobState.FAILED
        (dead,) = await engine.operators.list(Filter(state="dead"))
        assert dead.job_id == job_id and dead.dead
        house.release.set()
        done = await engine.operators.repeat(job_id, "correlation")
        again = await engine.operators.repeat(job_id, "correlation")
        assert done.created and not again.created and again.job_id == done.job_id
        async with asyncio.timeout(10):
            record = await engine.wait(done.job_id, no_progress)
        assert record.state is JobState.SUCCEEDED and record.result is not None
        # It knows that it is not the first attempt, and the same call leads to it.
        assert record.result["document"]["attempt"] > 1
        assert await submit(engine, "hold-1", key="key-0001") == done.job_id
        shown = detail_of(await engine.operators.show(job_id))
        assert shown["repeated_as"] == str(done.job_id) and shown["idempotency_key"] == "key-0001"
        assert [each["outcome"] for each in shown["history"]][-1] == "job_poisoned"


async def test_a_command_beside_the_server_repeats_and_stops_its_jobs(house: House) -> None:
    async with house.engine() as engine, Sqlite.open(house.database) as beside:
        operator = SqliteJobAdmin(beside, house.settings().queue)
        failed = await submit(engine, "fail-for-good")
        await engine.wait(failed, no_progress)
        done = await operator.repeat(failed, "correlation")
        async with asyncio.timeout(15):
            assert (await engine.wait(done.job_id, no_progress)).state is JobState.FAILED
        with pytest.raises(ComposerError) as refused:
            await operator.repeat(failed, "correlation")
        assert refused.value.code.code == "job_not_repeatable"
        assert str(done.job_id) in refused.value.sentence
        running = await submit(engine, "hold-1")
        async with asyncio.timeout(15):
            while await house.begun.get() != "hold-1":
                continue
            shown = await operator.cancel(running)
            await house.has_stopped.wait()
            assert (await engine.wait(running, no_progress)).state is JobState.CANCELLED
        assert shown.summary.state is JobState.CANCELLED and shown.attempts[-1].outcome == "cancelled"


@pytest.mark.parametrize("uid", ["read-1", "ask-name", "hold-1"])
async def test_what_has_not_failed_is_not_repeated(house: House, uid: str) -> None:
    async with house.engine() as engine:
        job_id = await submit(engine, uid)
        await house.begun.get()
        if uid != "hold-1":
            await engine.wait(job_id, no_progress)
        with pytest.raises(ComposerError) as refused:
            await engine.operators.repeat(job_id, "correlation")
        assert refused.value.code.code == "job_not_repeatable"
        assert house.sql("select count(*) from job") == [(1,)]
        with pytest.raises(ComposerError) as unknown:
            await engine.operators.show(uuid.uuid4())
        assert unknown.value.code.code == "job_unknown"


async def test_a_repetition_finds_a_full_queue_full(house: House) -> None:
    async with house.engine(queue={"per_tenant_limit": 1}) as engine:
        failed = await submit(engine, "fail-for-good")
        await engine.wait(failed, no_progress)
        assert (await engine.wait(await submit(engine, "ask-name"), no_progress)).input_requests
        with pytest.raises(ComposerError) as refused:
            await engine.operators.repeat(failed, "correlation")
        assert refused.value.code.code == "queue_full" and refused.value.details["retry_after"] >= 1
