"""What is promised of a job: done once, survives its worker, bounded, its tenant's own."""

from __future__ import annotations

import json
import signal
import time
import uuid
from typing import Any

import anyio
import httpx
import pytest

from .support.installation import Platform, error_of
from .support.processes import START_SECONDS, Process
from .support.waiting import eventually

pytestmark = pytest.mark.anyio

LESSON: dict[str, Any] = {
    "title": "Cells",
    "elements": [{"type": "text", "text": "A cell is the smallest unit of life."}],
}


async def call_in_background(platform: Platform, results: list[Any], uid: str, **client: Any) -> None:
    async with platform.client(**client) as connection:
        # The client wants to know the form of the answer; asked here, the call itself is one request.
        await connection.list_tools()
        results.append(await connection.call_tool("get_composition", {"uid": uid}))


@pytest.mark.chaos
async def test_a_job_is_taken_over_when_its_worker_is_killed(platform: Platform) -> None:
    platform.start_web()
    victim = platform.start_tame_worker()
    uid = platform.hold("victim")
    results: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(call_in_background, platform, results, uid)
        await anyio.to_thread.run_sync(victim.wait_for, "tame.begun")
        heir = await anyio.to_thread.run_sync(platform.start_tame_worker)
        victim.signal(signal.SIGKILL)
        killed = time.monotonic()
        await anyio.to_thread.run_sync(heir.wait_for, "tame.begun")
        taken_over = time.monotonic() - killed
        platform.release("victim", jobs=2)
    assert results[0].structured_content["document"]["attempt"] == 2
    assert taken_over <= 5, f"taken over after {taken_over:.1f} s"
    assert platform.sql("select state, epoch, attempts from job") == "succeeded|2|2"


async def test_sigterm_finishes_the_running_job_and_takes_no_other(platform: Platform) -> None:
    platform.start_web()
    worker = platform.start_tame_worker()
    uid, other = platform.hold("running"), "sit-0001"
    results: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(call_in_background, platform, results, uid)
        await anyio.to_thread.run_sync(worker.wait_for, "tame.begun")
        worker.signal(signal.SIGTERM)
        await anyio.to_thread.run_sync(worker.wait_for, "worker.stopping")
        group.start_soon(call_in_background, platform, results, other)
        await until(platform, "select count(*) from job", "2")
        platform.release("running")
        assert await anyio.to_thread.run_sync(worker.wait) == 0, worker.output
        assert platform.sql("select state from job order by created_at") == "succeeded\nqueued"
        await anyio.to_thread.run_sync(platform.start_tame_worker)
    assert not any(result.is_error for result in results)


async def test_the_same_key_gives_the_same_composition(serving: Platform) -> None:
    call = {"lesson": LESSON, "idempotency_key": "lesson-0001"}
    async with serving.client() as client:
        first = await client.call_tool("create_composition", call)
        again = await client.call_tool("create_composition", call)
        other = await client.call_tool("create_composition", call | {"lesson": LESSON | {"title": "Atoms"}})
    assert not first.is_error, first
    assert first.structured_content["created"] and not again.structured_content["created"]
    assert first.structured_content["uid"] == again.structured_content["uid"]
    assert error_of(other)["code"] == "idempotency_key_reused"
    assert serving.sql("select count(*) from job") == "1"


async def test_many_calls_with_one_key_make_one_job(serving: Platform) -> None:
    call = {"lesson": LESSON, "idempotency_key": "lesson-0001"}
    uids = []

    async def create() -> None:
        async with serving.client() as client:
            uids.append((await client.call_tool("create_composition", call)).structured_content["uid"])

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(create)
    assert len(uids) == 20 and len(set(uids)) == 1
    assert serving.sql("select count(*), max(epoch) from job") == "1|1"


async def test_a_retryable_failure_is_tried_again_under_the_same_key(serving: Platform) -> None:
    from composer_mcp.jobs.postgres_engine import PostgresJobEngine
    from composer_mcp.jobs.requests import GetComposition
    from composer_mcp.store import database

    options = database.connection_options(
        serving.settings.database, serving.secrets.read("database-password"), application="test"
    )

    async def progress(fraction: float, message: str) -> None:
        """Nobody listens."""

    async with PostgresJobEngine.open(serving.settings, options) as engine:
        for code, attempts in (("job_timeout", 2), ("invalid_arguments", 1)):
            request, key = GetComposition(uid=f"fail-{code}"), f"key-{code}"
            jobs = set()
            for _ in range(2):
                submission = await engine.submit("school", key, request, "correlation")
                record = await engine.wait(submission.job_id, progress)
                jobs.add(record.id)
                assert record.error is not None
            # What has ended stays as it ended; a repetition is a job of its own, which knows of the first.
            assert len(jobs) == attempts
            assert serving.sql(f"select epoch from job where idempotency_key = '{key}'") == str(attempts)


async def test_a_full_queue_refuses_with_a_time_to_come_back(platform: Platform) -> None:
    platform.configure(queue={"per_tenant_limit": 3})
    platform.start_web()
    results: list[Any] = []
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(call_in_background, platform, results, f"sit-000{number}")
        await until(platform, "select count(*) from job", "3")
        async with platform.client() as client:
            refused = error_of(await client.call_tool("get_composition", {"uid": "sit-0009"}))
        async with platform.client(platform.issuer.token(tenant="other")) as client:
            group.start_soon(
                lambda: call_in_background(
                    platform, results, "sit-0008", token=platform.issuer.token("other")
                )
            )
            await until(platform, "select count(*) from job", "4")
        await anyio.to_thread.run_sync(platform.start_tame_worker)
    assert refused["code"] == "queue_full" and refused["retryable"]
    assert refused["details"]["limit"] == 3 and 1 <= refused["details"]["retry_after"] <= 30
    assert len(results) == 4 and not any(result.is_error for result in results)


async def test_a_tenant_that_floods_the_queue_does_not_delay_another(platform: Platform) -> None:
    platform.start_web()
    results: list[Any] = []
    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(call_in_background, platform, results, f"sit-00{number + 10}")
        await until(platform, "select count(*) from job", "30")
        other = platform.issuer.token(tenant="other")
        group.start_soon(lambda: call_in_background(platform, results, "sit-0001", token=other))
        await until(platform, "select count(*) from job", "31")
        await anyio.to_thread.run_sync(platform.start_tame_worker)
    rank = platform.sql(
        "select rank from (select tenant, rank() over (order by started_at) from job) r "
        "where tenant = 'other'"
    )
    assert int(rank) <= 3


async def test_a_job_belongs_to_its_tenant(serving: Platform) -> None:
    async with serving.client() as client:
        await client.call_tool("get_composition", {"uid": "sit-0001"})
        job = {"job_id": serving.sql("select id from job")}
        own = await client.call_tool("get_job", job)
        unknown = error_of(await client.call_tool("get_job", {"job_id": str(uuid.uuid4())}))
    async with serving.client(serving.issuer.token(tenant="other")) as client:
        foreign = error_of(await client.call_tool("get_job", job))
    assert own.structured_content["state"] == "succeeded"
    assert own.structured_content["result"]["uid"] == "sit-0001"
    assert foreign["code"] == unknown["code"] == "job_unknown"
    assert foreign["message"].replace(job["job_id"], "") == unknown["message"].replace(
        unknown["details"]["job_id"], ""
    )


async def test_two_tenants_may_use_the_same_key(serving: Platform) -> None:
    call = {"lesson": LESSON, "idempotency_key": "lesson-0001"}
    uids = set()
    for tenant in ("school", "other"):
        async with serving.client(serving.issuer.token(tenant=tenant)) as client:
            uids.add((await client.call_tool("create_composition", call)).structured_content["uid"])
    assert len(uids) == 2


async def test_a_job_goes_on_when_its_caller_leaves(serving: Platform, standing_worker: Process) -> None:
    uid = serving.hold("leaver")
    async with anyio.create_task_group() as group:
        group.start_soon(call_in_background, serving, [], uid)
        await anyio.to_thread.run_sync(standing_worker.wait_for, "tame.begun")
        group.cancel_scope.cancel()
    serving.release("leaver")
    await anyio.to_thread.run_sync(standing_worker.wait_for, "job.finished")
    assert serving.sql("select state from job") == "succeeded"


@pytest.mark.chaos
async def test_a_restart_of_the_database_is_survived(platform: Platform) -> None:
    platform.start_web()
    worker = platform.start_tame_worker()
    uid = platform.hold("survivor")
    results: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(call_in_background, platform, results, uid)
        await anyio.to_thread.run_sync(worker.wait_for, "tame.begun")
        ready = f"http://127.0.0.1:{platform.port}/health/ready"
        assert (await get(ready)).json()["reasons"] == []
        await anyio.to_thread.run_sync(platform.postgres.stop)
        # The gateway stays with the host: calls wait, and elsewhere they would wait for the same database.
        meanwhile = await get(ready)
        assert meanwhile.status_code == 200 and meanwhile.json()["reasons"][0].startswith("database:")
        await anyio.to_thread.run_sync(platform.postgres.start)
        platform.release("survivor", jobs=2)
    assert not results[0].is_error, results[0]
    began = time.monotonic()
    async with platform.client() as client:
        after = await client.call_tool("get_composition", {"uid": "sit-0001"})
    assert not after.is_error, after
    assert time.monotonic() - began < 10


async def test_a_database_that_stays_away_ends_the_readiness(platform: Platform) -> None:
    platform.start_web()
    ready = f"http://127.0.0.1:{platform.port}/health/ready"
    assert (await get(ready)).status_code == 200
    platform.postgres.stop()
    try:
        with anyio.fail_after(30):
            while (left := await get(ready)).status_code == 200:
                await anyio.lowlevel.checkpoint()
        assert left.status_code == 503 and left.json()["reasons"][0].startswith("database:")
    finally:
        platform.postgres.start()
    with anyio.fail_after(30):
        while (await get(ready)).json()["reasons"]:
            await anyio.lowlevel.checkpoint()


async def test_what_started_without_a_database_serves_when_it_comes(platform: Platform) -> None:
    platform.postgres.stop()
    try:
        web = platform.start_web()
        worker = platform.start(platform.tame_worker_command(), "worker.database_away")
        async with httpx.AsyncClient() as http:
            ready = await http.get(f"http://127.0.0.1:{platform.port}/health/ready")
        assert ready.status_code == 503 and ready.json()["reasons"][0].startswith("database:")
        # Nobody gets in before it is known whom the accounts keep out.
        refused = await knock(platform)
        assert refused.status_code == 503 and refused.json()["code"] == "store_unavailable"
        assert int(refused.headers["Retry-After"]) >= 1
    finally:
        platform.postgres.start()
    await anyio.to_thread.run_sync(worker.wait_for, "worker.ready")
    with anyio.fail_after(30):
        while (await knock(platform)).status_code == 503:
            await anyio.lowlevel.checkpoint()
    results: list[Any] = []
    await call_in_background(platform, results, "sit-0001")
    assert not results[0].is_error, f"{results[0]}\n{web.output}"


async def get(address: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as http:
        return await http.get(address)


async def knock(platform: Platform) -> httpx.Response:
    """Send a message that asks for nothing, with a good token."""
    async with httpx.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {platform.issuer.token()}", "Accept": "application/json"}
        return await http.post(
            platform.url, headers=headers, json={"jsonrpc": "2.0", "method": "ping", "id": 1}
        )


@pytest.mark.chaos
async def test_a_job_that_kills_its_workers_is_given_up(platform: Platform) -> None:
    platform.configure(worker={"attempt_limit": 2})
    platform.start_web()
    uid = platform.hold("poison")
    results: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(call_in_background, platform, results, uid)
        for _ in range(2):
            worker = await anyio.to_thread.run_sync(platform.start_tame_worker)
            await anyio.to_thread.run_sync(worker.wait_for, "tame.begun")
            worker.signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(platform.start_tame_worker)
    assert error_of(results[0])["code"] == "job_poisoned"


async def test_a_crash_of_a_handler_is_told_without_its_secrets(
    serving: Platform, standing_worker: Process
) -> None:
    async with serving.client() as client:
        error = error_of(await client.call_tool("get_composition", {"uid": "crash-it"}))
    await anyio.to_thread.run_sync(standing_worker.wait_for, "job.finished")
    assert error["code"] == "internal" and error["details"]["job_id"] == serving.sql("select id from job")
    assert "unforeseen" in standing_worker.output and "abcdefgh12345678" not in standing_worker.output
    assert "abcdefgh12345678" not in json.dumps(error)
    line = next(json.loads(line) for line in standing_worker.output.splitlines() if "job.crashed" in line)
    assert line["correlation_id"] == error["correlation_id"]


async def test_progress_reaches_the_caller_at_a_bounded_rate(serving: Platform) -> None:
    heard: list[float] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    began = time.monotonic()
    async with serving.client() as client:
        await client.call_tool("get_composition", {"uid": "chatty-100"}, progress_callback=listen)
    seconds = time.monotonic() - began
    assert 1 < len(heard) <= 4 * seconds + 2
    assert heard == sorted(heard)


async def until(platform: Platform, statement: str, expected: str, seconds: float = START_SECONDS) -> None:
    """Ask the database until it answers as expected."""
    await eventually(lambda: platform.sql(statement) == expected, seconds)
