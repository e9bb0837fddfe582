"""What becomes of a job when time runs out, a worker freezes, or the queue forgets it."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.jobs import upkeep
from composer_mcp.jobs.postgres_engine import Call, PostgresJobEngine
from composer_mcp.jobs.requests import GetComposition
from composer_mcp.store import database
from composer_mcp.store.listener import Ear, Listener

from .support.clock import Clock
from .support.installation import Platform, error_of, text_of
from .test_jobs import call_in_background, until

pytestmark = pytest.mark.anyio


@pytest.mark.chaos
async def test_a_worker_that_was_frozen_cannot_overwrite_the_result(platform: Platform) -> None:
    platform.start_web()
    frozen = platform.start_tame_worker()
    uid = platform.hold("frozen")
    results: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(call_in_background, platform, results, uid)
        await anyio.to_thread.run_sync(frozen.wait_for, "tame.begun")
        frozen.signal(signal.SIGSTOP)
        heir = await anyio.to_thread.run_sync(platform.start_tame_worker)
        await anyio.to_thread.run_sync(heir.wait_for, "tame.begun")
        platform.release("frozen", jobs=2)
    result = platform.sql("select result from job")
    frozen.signal(signal.SIGCONT)
    await anyio.to_thread.run_sync(frozen.wait_for, '"outcome": "lost"')
    assert results[0].structured_content["document"]["attempt"] == 2
    assert platform.sql("select result from job") == result
    assert platform.sql("select state, epoch from job") == "succeeded|2"


async def test_a_job_that_takes_too_long_is_stopped(platform: Platform) -> None:
    platform.configure(worker={"job_timeout_seconds": 0.5})
    platform.start_web()
    platform.start_tame_worker()
    async with platform.client() as client:
        error = error_of(await client.call_tool("get_composition", {"uid": "sit-60000"}))
    assert error["code"] == "job_timeout" and error["retryable"]


async def test_a_job_that_nobody_took_in_time_fails(platform: Platform) -> None:
    platform.configure(queue={"deadline_seconds": 0.1})
    platform.start_web()
    results: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(call_in_background, platform, results, "sit-0001")
        await until(platform, "select count(*) from job where deadline < clock_timestamp()", "1")
        await anyio.to_thread.run_sync(platform.start_tame_worker)
    assert error_of(results[0])["code"] == "deadline_exceeded"


@pytest.mark.chaos
@pytest.mark.parametrize("hours", [1, -1])
async def test_a_worker_whose_clock_is_wrong_does_its_jobs(platform: Platform, hours: int) -> None:
    clock = Clock(platform.folder / "clock")
    clock.set(hours)
    platform.start_web()
    command, environment = platform.tame_worker_command(), {"TAME_FOLDER": str(platform.tame)}
    worker = platform.start(command, "worker.ready", **environment, **clock.environment)
    async with platform.client() as client:
        result = await client.call_tool("get_composition", {"uid": "sit-0001"})
    assert not result.is_error, f"{text_of(result)}\n{worker.output}"
    # The book tells the database's time, by which hosts agree.
    recent = "finished_at between clock_timestamp() - interval '1 minute' and clock_timestamp()"
    assert platform.sql(f"select state, {recent} from job") == "succeeded|t"


async def test_a_call_that_waits_too_long_names_the_job_to_ask_for(platform: Platform) -> None:
    platform.configure(web={"wait_seconds": 0.2})
    platform.start_web()
    async with platform.client() as client:
        pending = error_of(await client.call_tool("get_composition", {"uid": "sit-0001"}))
        assert pending["code"] == "job_pending"
        job = {"job_id": pending["details"]["job_id"]}
        assert (await client.call_tool("get_job", job)).structured_content["state"] == "queued"
        worker = await anyio.to_thread.run_sync(platform.start_tame_worker)
        await anyio.to_thread.run_sync(worker.wait_for, "job.finished")
        done = (await client.call_tool("get_job", job)).structured_content
    assert done["state"] == "succeeded" and done["result"]["uid"] == "sit-0001"


async def test_a_job_that_the_queue_lost_is_queued_again(platform: Platform) -> None:
    platform.start_web()
    results: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(call_in_background, platform, results, "sit-0001")
        await until(platform, "select count(*) from pgqueuer", "1")
        async with pool_of(platform) as pool:
            assert await upkeep.mend(pool, timedelta(seconds=60)) == 0
            platform.sql("delete from pgqueuer")
            assert await upkeep.mend(pool, timedelta(seconds=60)) == 1
            assert await upkeep.mend(pool, timedelta(seconds=60)) == 0
        await anyio.to_thread.run_sync(platform.start_tame_worker)
    assert not results[0].is_error
    assert platform.sql("select epoch, generation from job") == "1|2"


async def test_finished_jobs_are_forgotten_in_time(platform: Platform) -> None:
    platform.start_web()
    platform.start_tame_worker()
    async with platform.client() as client:
        for uid in ("sit-0001", "sit-0002"):
            await client.call_tool("get_composition", {"uid": uid})
        platform.sql(
            "update job set finished_at = now() - interval '31 days' where arguments::text like '%0001%'"
        )
        forgotten = platform.sql("select id from job where arguments::text like '%0001%'")
        async with pool_of(platform) as pool:
            assert await upkeep.forget(pool, timedelta(days=30)) == 1
        error = error_of(await client.call_tool("get_job", {"job_id": forgotten}))
    assert error["code"] == "job_unknown"
    assert platform.sql("select count(*) from job") == "1"


@pytest.mark.chaos
async def test_announcements_are_heard_again_after_the_database_refused_everybody(platform: Platform) -> None:
    password = platform.secrets.read("database-password")
    options = database.connection_options(platform.settings.postgresql, password, application="test")
    connected, heard = anyio.Event(), anyio.Event()

    def on_connected() -> None:
        connected.set()

    async with Listener(options, [Ear("composer_job", lambda _: heard.set(), on_connected)]).run():
        with anyio.fail_after(20):
            await connected.wait()
            allow = f"alter database {platform.database} with allow_connections"
            platform.postgres.sql("postgres", f"{allow} false")
            connected = anyio.Event()
            theirs = f"pg_stat_activity where datname = '{platform.database}'"
            platform.postgres.sql("postgres", f"select pg_terminate_backend(pid) from {theirs}")
            await anyio.sleep(1)
            platform.postgres.sql("postgres", f"{allow} true")
            await connected.wait()
            platform.sql("notify composer_job, 'x'")
            await heard.wait()


async def test_a_refusal_stays_a_refusal_when_the_database_goes_away_meanwhile(platform: Platform) -> None:
    platform.configure(queue={"per_tenant_limit": 1})

    class Deserted(PostgresJobEngine):
        """An engine whose database stops after it has refused a call."""

        async def _submit(self, calls: Sequence[Call]) -> list[asyncpg.Record]:
            rows = await super()._submit(calls)
            if rows[0]["outcome"] == "tenant_full":
                await anyio.to_thread.run_sync(platform.postgres.stop)
            return rows

    password = platform.secrets.read("database-password")
    options = database.connection_options(platform.settings.postgresql, password, application="test")
    try:
        async with Deserted.open(platform.settings, options) as engine:
            request = GetComposition(uid="sit-0001")
            await engine.submit("school", "key-0001", request, "correlation")
            with pytest.raises(ComposerError) as refused:
                await engine.submit("school", "key-0002", request, "correlation")
    finally:
        platform.postgres.start()
    assert refused.value.code.code == "queue_full"
    assert refused.value.details["retry_after"] == 10


def pool_of(platform: Platform) -> asyncpg.Pool:
    settings = platform.settings.database
    password = platform.secrets.read("database-password")
    return database.pool(database.connection_options(settings, password, application="test"), size=2)
