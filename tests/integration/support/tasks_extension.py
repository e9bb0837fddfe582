"""The tasks extension, taught to the SDK's own client; every message is checked against the specification.

Specification: https://modelcontextprotocol.github.io/ext-tasks/specification/2026-07-28/tasks.html
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import anyio
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, NotificationBinding, ResultClaim
from mcp_types import CallToolResult, NotificationParams, Request, RequestParams, Result
from pydantic import AliasGenerator, BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter
from pydantic.alias_generators import to_camel

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
            task = checked(await context.session.send_request(request, Anything))
            if isinstance(task, Completed):
                return task.result
            assert isinstance(task, Working) and task.poll_interval_ms
            await anyio.sleep(min(task.poll_interval_ms / 1000, 0.2))

    async def _hear(self, task: Pushed) -> None:
        self.pushed.append(task.model_dump(by_alias=True))


async def look(client: Client, task_id: str) -> Any:
    """Ask for a task, and check the answer."""
    answer = await client.session.send_request(GetTask(params=TaskParams(task_id=task_id)), Anything)
    return checked(answer)


def checked(answer: Anything) -> Any:
    """Return the task of an answer to ``tasks/get``."""
    content = answer.model_dump(by_alias=True)
    content["_meta"] = content.get("_meta") or {}
    assert content.pop("resultType") == "complete"
    return Detailed.validate_python(content)
