"""Tasks as a client of somebody else's meets them: the SDK's own, taught the extension through its seam.

The conformance suite has no check of pushed tasks; what the specification says of them is checked here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, NotificationBinding, ResultClaim
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, NotificationParams, Request, RequestParams, Result, TextContent
from pydantic import AliasGenerator, BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter
from pydantic.alias_generators import to_camel

from .conftest import Web

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

IDENTIFIER = "io.modelcontextprotocol/tasks"
STRICT = ConfigDict(extra="forbid", alias_generator=AliasGenerator(to_camel), populate_by_name=True)


class Task(BaseModel):
    """What the specification requires of every task."""

    model_config = STRICT

    task_id: str
    status_message: str | None = None
    created_at: datetime
    last_updated_at: datetime
    ttl_ms: PositiveInt | None
    poll_interval_ms: PositiveInt | None = None
    meta: dict[str, Any] = Field(alias="_meta")


class Working(Task):
    status: Literal["working"]


class InputRequired(Task):
    status: Literal["input_required"]
    input_requests: dict[str, dict[str, Any]] = Field(min_length=1)


class Completed(Task):
    status: Literal["completed"]
    result: CallToolResult


class Failed(Task):
    status: Literal["failed"]
    error: dict[str, Any]


class Cancelled(Task):
    status: Literal["cancelled"]


Detailed = TypeAdapter(
    Annotated[Working | InputRequired | Completed | Failed | Cancelled, Field(discriminator="status")]
)


class Created(Result):
    """The answer to a call that became a task."""

    model_config = ConfigDict(extra="allow")

    result_type: Literal["task"]
    task_id: str


class Pushed(NotificationParams):
    model_config = ConfigDict(extra="allow")


class TaskParams(RequestParams):
    task_id: str


class GetTask(Request[TaskParams, Literal["tasks/get"]]):
    name_param = "taskId"
    method: Literal["tasks/get"] = "tasks/get"
    params: TaskParams


class CancelTask(Request[TaskParams, Literal["tasks/cancel"]]):
    name_param = "taskId"
    method: Literal["tasks/cancel"] = "tasks/cancel"
    params: TaskParams


class ListenParams(RequestParams):
    notifications: dict[str, Any]


class Listen(Request[ListenParams, Literal["subscriptions/listen"]]):
    method: Literal["subscriptions/listen"] = "subscriptions/listen"
    params: ListenParams


class Anything(Result):
    model_config = ConfigDict(extra="allow")


class Following(ClientExtension):
    """Follows tasks by asking, and keeps what is pushed."""

    identifier = IDENTIFIER

    def __init__(self) -> None:
        self.created: list[Created] = []
        self.pushed: list[dict[str, Any]] = []

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Created, resolve=self._resolve)]

    def notifications(self) -> Sequence[NotificationBinding[Any]]:
        return [NotificationBinding(method="notifications/tasks", params_type=Pushed, handler=self._hear)]

    async def _resolve(self, created: Created, context: ClaimContext) -> CallToolResult:
        self.created.append(created)
        while True:
            request = GetTask(params=TaskParams(task_id=created.task_id))
            answer = (await context.session.send_request(request, Anything)).model_dump(by_alias=True)
            answer["_meta"] = answer.get("_meta") or {}
            assert answer.pop("resultType") == "complete"
            task = Detailed.validate_python(answer)
            if isinstance(task, Completed):
                return task.result
            assert isinstance(task, Working) and task.poll_interval_ms
            await anyio.sleep(min(task.poll_interval_ms / 1000, 0.2))

    async def _hear(self, task: Pushed) -> None:
        self.pushed.append(task.model_dump(by_alias=True))


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
