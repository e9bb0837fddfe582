"""A server that runs alone keeps room for short jobs, too, and remembers its attempts within bounds."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path

import pytest

from composer_mcp.jobs.embedded_engine import EmbeddedJobEngine
from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.requests import CreateComposition, GetComposition
from composer_mcp.jobs.rules import HISTORY_LIMIT
from tests.unit.jobs.house import House, no_progress

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def submit_long(engine: EmbeddedJobEngine, title: str) -> uuid.UUID:
    lesson = {"title": title, "elements": [{"type": "text", "text": "A cell."}]}
    request = CreateComposition.model_validate({"lesson": lesson})
    return (await engine.submit("local", uuid.uuid4().hex, request, "correlation")).job_id


async def test_a_short_job_starts_while_long_jobs_hold_every_other_slot(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.engine(worker={"concurrency": 3}) as engine:
        waiting = [await submit_long(engine, f"hold-{number}") for number in range(4)]
        async with asyncio.timeout(10):
            begun = [await house.begun.get() for _ in range(2)]
            short = await engine.submit("local", "key", GetComposition(uid="read-1"), "correlation")
            assert (await engine.wait(short.job_id, no_progress)).state is JobState.SUCCEEDED
        assert sorted(begun) == ["hold-0", "hold-1"]
        assert [uid for uid, _ in house.attempts] == [*begun, "read-1"]
        house.release.set()
        async with asyncio.timeout(10):
            for job_id in waiting:
                assert (await engine.wait(job_id, no_progress)).state is JobState.SUCCEEDED


async def test_attempts_are_remembered_within_bounds(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.engine(worker={"attempt_limit": 100}) as engine:
        job_id = (await engine.submit("local", "key", GetComposition(uid="ask-name"), "c")).job_id
        for number in range(HISTORY_LIMIT + 3):
            async with asyncio.timeout(10):
                asked = await engine.wait(job_id, no_progress)
            assert asked.state is JobState.INPUT_REQUIRED
            if number < HISTORY_LIMIT + 2:
                # An empty answer to another question leaves it open; this one is asked anew.
                house.sql("update job set input_requests = '{\"other\": {}}'")
                await engine.answer("local", job_id, {"other": 1})
        ((text,),) = house.sql("select history from job")
    history = json.loads(text)
    assert len(history) == HISTORY_LIMIT
    assert [each["attempt"] for each in history] == list(range(4, HISTORY_LIMIT + 4))
    assert all(each["outcome"] == "input_required" and each["worker"] for each in history)
