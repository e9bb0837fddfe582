"""A worker that is killed, at whatever moment, leaves one composition and no job behind."""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path

import anyio
import pytest

from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.requests import CreateComposition

from .composer_calls import lesson
from .composer_fixtures import CONNECTOR_UID, PROJECT_UID, Standin
from .support import mortal_worker
from .support.installation import Platform
from .support.processes import Process
from .test_jobs_lifecycle import engine_of, in_thread, no_progress

pytestmark = [pytest.mark.anyio, pytest.mark.chaos]


@pytest.fixture
def composing(platform: Platform, standin: Standin) -> Platform:
    (platform.credentials / "composer-token").write_text(standin.token)
    (platform.credentials / "composer-project-key").write_text(standin.project_key)
    platform.configure(
        composer={
            "app_url": standin.app_url,
            "api_url": standin.api_url,
            "media_url": f"{standin.app_url}/rdpcomposer/media",
            "project_uid": PROJECT_UID,
            "connector_uid": CONNECTOR_UID,
            "authority": standin.authority,
            "settle_seconds": 1,
        }
    )
    return platform


def start_worker(platform: Platform, dies: str) -> Process:
    program = [sys.executable, "-P", str(Path(mortal_worker.__file__))]
    return platform.start(
        [*program, str(platform.config), str(platform.credentials)], "worker.ready", DIES=dies
    )


@pytest.mark.parametrize(("moment", "written"), [("fetched", 0), ("before", 0), ("after", 1)])
async def test_a_worker_killed_at_any_moment_leaves_one_composition(
    composing: Platform, standin: Standin, moment: str, written: int
) -> None:
    title = f"Uma vez {uuid.uuid4().hex[:8]}"
    victim = await in_thread(start_worker, composing, moment)
    async with engine_of(composing) as engine:
        request = CreateComposition(lesson=lesson(title))
        submission = await engine.submit("school", title, request, "correlation")
        assert await in_thread(victim.wait) < 0
        killed = time.monotonic()
        assert len(await in_thread(standin.compositions, title)) == written
        await in_thread(start_worker, composing, "never")
        with anyio.fail_after(20):
            record = await engine.wait(submission.job_id, no_progress)
    finished = time.monotonic() - killed
    assert record.state is JobState.SUCCEEDED and record.result is not None
    made = standin.compositions(title)
    assert [each["uid"] for each in made] == [record.result["uid"]]
    assert composing.sql("select state, attempts from job") == "succeeded|2"
    assert composing.sql("select count(*) from pgqueuer") == "0"
    # Five seconds until it is taken over, and what the second attempt takes to look for the first one's work.
    assert finished <= 8, f"finished after {finished:.1f} s"
