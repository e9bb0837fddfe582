"""A call becomes a task for those who can follow one, and a plain call for everybody else."""

from __future__ import annotations

import pytest

from composer_mcp.errors import STORE_UNAVAILABLE
from composer_mcp.mcp.tasks import IDENTIFIER

from .conftest import Server

pytestmark = pytest.mark.anyio


async def test_the_server_says_that_it_has_the_extension(server: Server) -> None:
    capabilities = (await server.ask("server/discover"))["capabilities"]
    assert capabilities["extensions"] == {IDENTIFIER: {}}
    assert "tasks" not in capabilities


async def test_a_call_is_answered_with_its_task_once_the_job_exists(server: Server) -> None:
    task = await server.ask("tools/call", {"name": "slow"})

    assert task["resultType"] == "task"
    assert task["status"] == "working"
    assert not task.keys() & {
        "result",
        "error",
        "inputRequests",
        "requestState",
        "task",
        "ttl",
        "pollInterval",
    }
    assert task["ttlMs"] == 7 * 24 * 3600 * 1000
    assert task["pollIntervalMs"] == 3000
    assert [str(job) for job in server.engine.records] == [task["taskId"]]
    seen = await server.ask("tasks/get", {"taskId": task["taskId"]})
    assert seen == task | {"resultType": "complete"}


@pytest.mark.parametrize("who", ["without the extension", "without the right to look at jobs"])
async def test_who_cannot_follow_a_task_gets_the_result(server: Server, who: str) -> None:
    server.may_follow = who == "without the extension"
    result = await server.ask("tools/call", {"name": "slow"}, extension=not server.may_follow)
    assert result["resultType"] == "complete"
    assert result["content"][0]["text"] == "slow was waited for"
    assert "taskId" not in result


async def test_a_tool_that_is_only_served_as_a_task_names_what_the_client_lacks(server: Server) -> None:
    answer = await server.post("tools/call", {"name": "only_slow"}, extension=False)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32021
    needed = answer.json()["error"]["data"]["requiredCapabilities"]
    assert needed == {"extensions": {IDENTIFIER: {}}}
    assert not server.engine.records

    assert (await server.ask("tools/call", {"name": "only_slow"}))["resultType"] == "task"


async def test_a_tool_that_nobody_declared_never_becomes_a_task(server: Server) -> None:
    hint = {"name": "quick", "task": {"ttl": 60000}}
    result = await server.ask("tools/call", hint)
    assert result["content"][0]["text"] == "quick was waited for"


async def test_what_must_be_asked_first_is_asked_before_there_is_a_task(server: Server) -> None:
    first = await server.ask("tools/call", {"name": "asks_first"})
    assert first["resultType"] == "input_required"
    assert "taskId" not in first
    assert not server.engine.records

    answer = {"name": {"action": "accept", "content": {}}}
    again = {"name": "asks_first", "inputResponses": answer, "requestState": first["requestState"]}
    second = await server.ask("tools/call", again)
    assert second["resultType"] == "task"
    assert not second.keys() & {"requestState", "inputRequests"}


async def test_a_call_after_one_that_became_a_task_is_a_plain_call(server: Server) -> None:
    await server.ask("tools/call", {"name": "slow"})
    result = await server.ask("tools/call", {"name": "slow"}, extension=False)
    assert result["resultType"] == "complete"


async def test_a_store_that_goes_away_after_the_job_was_accepted_is_said_so(server: Server) -> None:
    server.engine.away = STORE_UNAVAILABLE.error(store="database", state="It goes on.")
    error = await server.refused("tools/call", {"name": "slow"})
    assert error["code"] == -32603
    assert error["data"]["code"] == "store_unavailable"
