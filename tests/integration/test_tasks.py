"""Tasks outlive whoever made them, are heard of everywhere, and are nobody else's."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import anyio
import asyncpg
import pytest

from composer_mcp.store import database
from composer_mcp.store.compositions import short_id
from composer_mcp.store.postgres_compositions import PostgresCompositions

from .support.installation import Platform
from .support.processes import Process, free_port
from .support.tasks_client import Refused, TasksClient

pytestmark = pytest.mark.anyio

LESSON: dict[str, Any] = {
    "title": "Cells",
    "elements": [{"type": "text", "text": "A cell is the unit of life."}],
}


def another_web(platform: Platform) -> tuple[Process, int]:
    """Start a second process, as on another host; it has nothing in common with the first but the stores."""
    port = free_port()
    command = platform.command("serve", "--plain-text", "--bind", f"127.0.0.1:{port}")
    return platform.start(command, "ASGI server listening"), port


def client(platform: Platform, port: int | None = None, **token: Any) -> TasksClient:
    return TasksClient(
        port or platform.port, platform.issuer.token(**token), host=f"127.0.0.1:{platform.port}"
    )


async def begun(worker: Process) -> None:
    await anyio.to_thread.run_sync(worker.wait_for, "tame.begun")


async def next_of(messages: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    with anyio.fail_after(10):
        return await anext(messages)


async def test_a_task_outlives_the_process_that_made_it(platform: Platform) -> None:
    maker = platform.start_web()
    _, port = another_web(platform)
    worker = platform.start_tame_worker()
    uid = platform.hold("task")
    async with client(platform) as here, client(platform, port) as there:
        task = await here.call("get_composition", uid=uid)
        assert task["resultType"] == "task"
        await begun(worker)
        maker.kill()
        seen = await there.get(task)
        assert (seen["status"], seen["createdAt"]) == ("working", task["createdAt"])
        platform.release("task")
        done = await there.until(task, "completed")
    assert done["result"]["structuredContent"]["uid"] == uid
    assert not done["result"]["isError"]


async def test_a_task_is_taken_over_when_its_worker_is_killed(platform: Platform) -> None:
    platform.start_web()
    victim = platform.start_tame_worker()
    uid = platform.hold("victim")
    async with client(platform) as web:
        task = await web.call("get_composition", uid=uid)
        await begun(victim)
        heir = await anyio.to_thread.run_sync(platform.start_tame_worker)
        victim.signal(signal.SIGKILL)
        killed = time.monotonic()
        await begun(heir)
        taken_over = time.monotonic() - killed
        platform.release("victim", jobs=2)
        await web.until(task, "completed")
    assert taken_over <= 5, f"taken over after {taken_over:.1f} s"


async def test_a_frozen_worker_that_wakes_up_changes_nothing(platform: Platform) -> None:
    platform.start_web()
    frozen = platform.start_tame_worker()
    uid = platform.hold("frozen")
    async with client(platform) as web:
        task = await web.call("get_composition", uid=uid, detail="full")
        await begun(frozen)
        frozen.signal(signal.SIGSTOP)
        heir = await anyio.to_thread.run_sync(platform.start_tame_worker)
        await begun(heir)
        platform.release("frozen", jobs=2)
        done = await web.until(task, "completed")
        frozen.signal(signal.SIGCONT)
        await anyio.to_thread.run_sync(frozen.wait_for, '"outcome": "lost"')
        after = await web.get(task)
    assert done["result"]["structuredContent"]["document"]["attempt"] == 2
    assert after["result"]["structuredContent"] == done["result"]["structuredContent"]
    assert (after["status"], after["lastUpdatedAt"]) == ("completed", done["lastUpdatedAt"])


async def test_a_question_outlives_the_processes_that_asked_it(platform: Platform) -> None:
    maker, worker = platform.start_web(), platform.start_tame_worker()
    _, port = another_web(platform)
    async with client(platform) as here, client(platform, port) as there:
        task = await here.call("get_composition", uid="ask-name", detail="full")
        asking = await here.until(task, "input_required")
        assert asking["inputRequests"] == {"name": {"message": "What is name?"}}
        maker.kill()
        worker.kill()
        assert (await there.get(task))["inputRequests"] == asking["inputRequests"]
        answered = await there.ask("tasks/update", taskId=task["taskId"], inputResponses={"name": "Ana"})
        assert answered["resultType"] == "complete"
        await anyio.to_thread.run_sync(platform.start_tame_worker)
        done = await there.until(task, "completed")
    assert done["result"]["structuredContent"]["document"]["name"] == "Ana"


async def test_changes_are_pushed_by_a_process_that_did_not_make_the_task(platform: Platform) -> None:
    platform.start_web()
    _, port = another_web(platform)
    platform.start_tame_worker()
    uid = platform.hold("pushed")
    async with client(platform) as here, client(platform, port) as there:
        task = await here.call("get_composition", uid=uid)
        async with there.listen(taskIds=[task["taskId"]]) as messages:
            acknowledged = await next_of(messages)
            assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
            assert acknowledged["params"]["notifications"] == {"taskIds": [task["taskId"]]}
            heard = [await next_of(messages)]
            platform.release("pushed")
            async for message in messages:
                heard.append(message)
        pushed = [message["params"] for message in heard if message.get("method") == "notifications/tasks"]
        polled = await here.get(task)
    assert {each["taskId"] for each in pushed} == {task["taskId"]}
    assert (pushed[0]["status"], pushed[-1]["status"]) == ("working", "completed")
    assert all(each["_meta"] == {"io.modelcontextprotocol/subscriptionId": 1} for each in pushed)
    # What is pushed is what is answered; only the record of the request itself differs.
    for each in (polled, pushed[-1]):
        del each["_meta"]
    assert polled.pop("resultType") == "complete"
    assert pushed[-1] == polled
    # The stream ends by itself when there is nothing more to say.
    assert heard[-1]["result"]["resultType"] == "complete"


async def test_a_running_task_is_cancelled_within_a_second_and_stays_cancelled(platform: Platform) -> None:
    platform.configure(worker={"concurrency": 2})
    platform.start_web()
    worker = platform.start_tame_worker()
    async with client(platform) as web:
        task = await web.call("get_composition", uid="sit-60000")
        await begun(worker)
        asked = time.monotonic()
        assert (await web.cancel(task)).keys() - {"_meta"} == {"resultType"}
        assert (await web.get(task))["status"] == "cancelled"
        await anyio.to_thread.run_sync(worker.wait_for, "job.finished")
        stopped = time.monotonic() - asked
        cancelled = await web.get(task)
        # A second time it is acknowledged as well, and nothing changes.
        await web.cancel(task)
        assert await web.get(task) == cancelled
    assert cancelled["status"] == "cancelled"
    assert not cancelled.keys() & {"result", "error"}
    assert stopped <= 1, f"stopped after {stopped:.1f} s"


async def test_the_same_call_after_a_cancellation_makes_another_task(platform: Platform) -> None:
    platform.start_web()
    call = {"lesson": LESSON, "idempotency_key": "lesson-0001"}
    async with client(platform) as web:
        first = await web.call("create_composition", **call)
        assert (await web.call("create_composition", **call))["taskId"] == first["taskId"]
        await web.cancel(first)
        cancelled = await web.get(first)
        second = await web.call("create_composition", **call)
        await anyio.to_thread.run_sync(platform.start_tame_worker)
        await web.until(second, "completed")
        assert second["taskId"] != first["taskId"]
        assert await web.get(first) == cancelled


async def test_another_tenants_task_is_as_if_it_did_not_exist(platform: Platform) -> None:
    platform.start_web()
    platform.start_tame_worker()
    uid = platform.hold("mine")
    async with client(platform) as mine, client(platform, tenant="another") as other:
        task = await mine.call("get_composition", uid=uid)
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            errors = []
            for task_id in (task["taskId"], str(uuid.uuid4())):
                with pytest.raises(Refused) as refused:
                    await other.ask(method, taskId=task_id, inputResponses={})
                errors.append(refused.value.error)
            assert errors[0] == errors[1]
            assert errors[0]["code"] == -32602
        async with other.listen(taskIds=[task["taskId"]]) as messages:
            heard = [message async for message in messages]
        assert heard[0]["params"]["notifications"] == {}
        assert [message.get("method") for message in heard[1:]] == [None]
        platform.release("mine")
        await mine.until(task, "completed")


async def test_the_callers_token_is_written_nowhere(platform: Platform) -> None:
    token = platform.issuer.token()
    web, worker = platform.start_web(), platform.start_tame_worker()
    async with TasksClient(platform.port, token) as caller:
        for uid in ("sit-0010", "fail-editor_not_ready", "crash-now"):
            task = await caller.call("get_composition", uid=uid)
            async with caller.listen(taskIds=[task["taskId"]]) as messages:
                assert [message async for message in messages]
        await caller.call("get_composition", uid="sit-60000")
    dump = _dump(platform)
    written = [dump, web.output, worker.output]
    written += [path.read_text(errors="replace") for path in platform.folder.rglob("*") if path.is_file()]
    assert task["taskId"] in dump
    # Not the whole, not one of its three parts, nor the beginning of one.
    for part in (token, *token.split("."), *(part[:40] for part in token.split(".")[1:])):
        assert not any(part in text for text in written), f"{part[:12]}… was written"


async def test_a_failure_of_the_server_fails_the_task_and_one_of_the_tool_completes_it(
    platform: Platform,
) -> None:
    platform.start_web()
    platform.start_tame_worker()
    async with client(platform) as web:
        crashed = await web.until(await web.call("get_composition", uid="crash-now"), "failed")
        refused = await web.until(await web.call("get_composition", uid="fail-version_conflict"), "completed")
    assert crashed["error"]["code"] == -32603
    assert crashed["error"]["data"]["code"] == "internal"
    assert crashed["error"]["data"]["job_id"] == crashed["taskId"]
    assert "access_token" not in str(crashed)
    assert refused["result"]["isError"]
    assert refused["result"]["structuredContent"]["error"]["code"] == "version_conflict"


@pytest.mark.parametrize(
    ("scope", "extension"), [("compositions:read jobs:read", False), ("compositions:read", True)]
)
async def test_who_cannot_follow_a_task_waits_for_the_result(
    platform: Platform, scope: str, extension: bool
) -> None:
    platform.start_web()
    platform.start_tame_worker()
    async with client(platform, scope=scope) as web:
        arguments = {"uid": "sit-0100"}
        result = await web.ask("tools/call", extension, name="get_composition", arguments=arguments)
        assert (result["resultType"], result["structuredContent"]["uid"]) == ("complete", "sit-0100")


async def test_a_new_composition_is_announced_to_its_tenant_by_every_process(platform: Platform) -> None:
    platform.start_web()
    first, second = "composer://compositions/first", "composer://compositions/second"
    short = f"composer://compositions/{short_id('first')}"
    async with (
        pool_of(platform) as pool,
        client(platform) as school,
        client(platform, tenant="another") as other,
        school.listen(resourcesListChanged=True, resourceSubscriptions=[first, short]) as heard,
        other.listen(resourcesListChanged=True) as not_heard,
    ):
        assert (await next_of(heard))["params"]["notifications"]["resourceSubscriptions"] == [first, short]
        await next_of(not_heard)
        registry = PostgresCompositions(pool)
        await anyio.sleep(0.5)
        for tenant, uid in (("school", "second"), ("school", "first"), ("another", "third")):
            await registry.record(tenant, uid, title=uid, description="", author="", tags=[], version="1")
        updated = []
        while len(updated) < 2:
            message = await next_of(heard)
            if message["method"] == "notifications/resources/updated":
                updated.append(message["params"]["uri"])
            else:
                assert message["method"] == "notifications/resources/list_changed"
        assert sorted(updated) == sorted([first, short]) and second not in updated
        # Only its widgets differ.
        await registry.record(
            "school", "first", title="first", description="", author="", tags=[], version="2"
        )
        while (message := await next_of(heard))["method"] != "notifications/resources/updated":
            assert message["method"] == "notifications/resources/list_changed"
        assert message["params"]["uri"] in (first, short)
        assert (await next_of(not_heard))["method"] == "notifications/resources/list_changed"


async def test_draining_a_process_ends_its_streams_so_that_it_can_stop(platform: Platform) -> None:
    web = platform.start_web()
    async with client(platform) as school, school.listen(resourcesListChanged=True) as messages:
        await next_of(messages)
        platform.drain_file.touch()
        ended = await next_of(messages)
        assert ended["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 1
        with pytest.raises(StopAsyncIteration):
            await next_of(messages)
    web.signal(signal.SIGTERM)
    # Calls under way would be given a minute.
    await anyio.to_thread.run_sync(web.wait, 30)


def _dump(platform: Platform) -> str:
    """Return everything that is in the database, as text."""
    tables = platform.sql("select schemaname || '.' || tablename from pg_tables where schemaname = 'public'")
    return "\n".join(platform.sql(f"select row_to_json(t) from {table} t") for table in tables.split())


def pool_of(platform: Platform) -> asyncpg.Pool:
    password = platform.secrets.read("database-password")
    options = database.connection_options(platform.settings.postgresql, password, application="test")
    return database.pool(options, size=2)
