"""Tasks as a client of somebody else's meets them: the SDK's own, taught the extension through its seam.

The conformance suite has no check of pushed tasks; what the specification says of them is checked here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent

from tests.integration.support.tasks_extension import (
    Anything,
    Cancelled,
    CancelTask,
    Detailed,
    Following,
    Listen,
    ListenParams,
    TaskParams,
)

from .conftest import Web

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
async def following(serving: Web) -> AsyncIterator[tuple[Client, Following]]:
    extension = Following()
    headers = {"Authorization": f"Bearer {serving.platform.issuer.token()}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(
            streamable_http_client(serving.url, http_client=http),
            mode="2026-07-28",
            extensions=[extension],
        ) as client,
    ):
        yield client, extension


async def test_a_client_that_follows_tasks_gets_the_result_as_from_any_call(
    following: tuple[Client, Following],
) -> None:
    client, extension = following
    result = await client.call_tool("slow_compute", {"seconds": 0.5, "label": "sdk"})
    quick = await client.call_tool("greet", {"name": "Ana"})

    assert isinstance(result.content[0], TextContent) and "sdk" in result.content[0].text
    assert isinstance(quick.content[0], TextContent) and quick.content[0].text == "Hello, Ana!"
    assert len(extension.created) == 1


async def test_every_state_of_a_task_is_pushed_in_the_form_that_is_specified(
    following: tuple[Client, Following],
) -> None:
    client, extension = following
    call = client.session.call_tool
    tasks = {
        tool: (await call(tool, arguments, allow_claimed=True)).task_id
        for tool, arguments in {
            "slow_compute": {"seconds": 0.5, "label": "pushed"},
            "protocol_error_job": {},
            "failing_job": {},
            "confirm_delete": {"filename": "x"},
        }.items()
    }
    last: dict[str, Any] = {}

    async def listen() -> None:
        wanted = ListenParams(notifications={"taskIds": list(tasks.values())})
        await client.session.send_request(Listen(params=wanted), Anything)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            wanted = {
                "slow_compute": "completed", "protocol_error_job": "failed",
                "failing_job": "completed", "confirm_delete": "input_required",
            }  # fmt: skip
            while {tool: last.get(task) and last[task].status for tool, task in tasks.items()} != wanted:
                await anyio.sleep(0.02)
                for task in map(Detailed.validate_python, extension.pushed):
                    last[task.task_id] = task
            cancel = CancelTask(params=TaskParams(task_id=tasks["confirm_delete"]))
            await client.session.send_request(cancel, Anything)
    # The stream has ended by itself: all tasks have.
    final = {task.task_id: task for task in map(Detailed.validate_python, extension.pushed)}
    assert isinstance(final[tasks["confirm_delete"]], Cancelled)
    assert final[tasks["failing_job"]].result.is_error
    assert final[tasks["protocol_error_job"]].error["code"] == -32603
    assert all("io.modelcontextprotocol/subscriptionId" in task["_meta"] for task in extension.pushed)
