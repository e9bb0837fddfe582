"""What a client hears on a stream, and how streams end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from types import SimpleNamespace
from typing import Any

import pytest
from mcp.server.subscriptions import InMemorySubscriptionBus, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ClientCapabilities, SubscriptionFilter, SubscriptionsListenRequestParams

from composer_mcp.errors import STORE_UNAVAILABLE
from composer_mcp.jobs.engine import JobRecord, JobState
from composer_mcp.mcp.listen import Audience, Limits, Listener
from composer_mcp.mcp.tasks import IDENTIFIER, Backing, Tasks

from .conftest import MINE, OTHER, VERSION, Engine, a_record, render

pytestmark = pytest.mark.anyio

FIRST = "composer://compositions/first"


class House:
    """A listener with all that it listens to."""

    def __init__(self, **limits: Any) -> None:
        self.engine = Engine()
        self.bus = InMemorySubscriptionBus()
        self.stopping = asyncio.Event()
        self.changed: asyncio.Queue[list[str] | Exception] = asyncio.Queue()
        self.seconds = 60.0
        self.rendered = 0
        self.changing = {"tools", "prompts"}
        tasks = Tasks(lambda _context: Backing(self.engine, MINE, self._render))
        self.listener = Listener(tasks, self._audience, self.bus, Limits(**limits), changing=self.changing)

    async def _render(self, record: JobRecord) -> CallToolResult:
        self.rendered += 1
        return await render(record)

    def _audience(self, context: Any) -> Audience:
        return Audience(context.caller, self.seconds, self.stopping, self._changes)

    async def _changes(self) -> AsyncIterator[Collection[str]]:
        while True:
            change = await self.changed.get()
            if isinstance(change, Exception):
                raise change
            yield change

    def listen(self, *, extension: bool = True, caller: str = "ana", **wanted: Any) -> Stream:
        return Stream(self.listener, wanted, extension, caller)


class Stream:
    """One client's request, and what it has heard."""

    def __init__(self, listener: Listener, wanted: dict[str, Any], extension: bool, caller: str) -> None:
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        declared = ClientCapabilities(extensions={IDENTIFIER: {}} if extension else None)
        session = SimpleNamespace(client_capabilities=declared, send_notification=self._send)
        context = SimpleNamespace(
            request_id="s-1", session=session, request=None, caller=caller, protocol_version=VERSION
        )
        parameters = SubscriptionsListenRequestParams(notifications=SubscriptionFilter.model_validate(wanted))
        self.task = asyncio.create_task(listener(context, parameters))

    async def _send(self, notification: Any, related_request_id: Any) -> None:
        assert related_request_id == "s-1"
        await self.reads.wait()
        message = notification.model_dump(by_alias=True, mode="json", exclude_none=True)
        assert message["params"].pop("_meta") == {"io.modelcontextprotocol/subscriptionId": "s-1"}
        self._heard.put_nowait(message)

    async def next(self) -> tuple[str, dict[str, Any]]:
        message = await asyncio.wait_for(self._heard.get(), 5)
        return message["method"].removeprefix("notifications/"), message["params"]

    async def acknowledged(self) -> dict[str, Any]:
        method, params = await self.next()
        assert method == "subscriptions/acknowledged"
        honored: dict[str, Any] = params["notifications"]
        return honored

    async def end(self) -> dict[str, Any]:
        result = await asyncio.wait_for(self.task, 5)
        ended: dict[str, Any] = result.model_dump(by_alias=True)
        return ended

    async def refusal(self) -> MCPError:
        with pytest.raises(MCPError) as raised:
            await asyncio.wait_for(self.task, 5)
        return raised.value


async def test_a_task_is_pushed_as_it_is_and_as_it_changes_until_it_ends() -> None:
    house = House()
    record = house.engine.add(a_record())
    stream = house.listen(taskIds=[str(record.id)])

    assert await stream.acknowledged() == {"taskIds": [str(record.id)]}
    method, task = await stream.next()
    assert (method, task["taskId"], task["status"]) == ("tasks", str(record.id), "working")
    record = house.engine.change(record, state=JobState.RUNNING, progress=0.5, progress_message="Half")
    assert (await stream.next())[1]["statusMessage"] == "Half (50%)"
    house.engine.change(record, state=JobState.SUCCEEDED)
    _, task = await stream.next()
    assert task["result"]["content"][0]["text"] == "kind is done"
    assert "resultType" not in task
    ended = await stream.end()
    assert ended["_meta"] == {"io.modelcontextprotocol/subscriptionId": "s-1"}
    assert house.listener.streams == 0


async def test_results_are_read_for_who_reads_them_not_before() -> None:
    house = House()
    records = [house.engine.add(a_record()) for _ in range(50)]
    stream = house.listen(taskIds=[str(record.id) for record in records])
    await stream.acknowledged()
    stream.reads.clear()
    for record in records:
        house.engine.change(record, state=JobState.SUCCEEDED)
    await asyncio.sleep(0.2)
    assert house.rendered <= 1
    stream.reads.set()
    done = set()
    while len(done) < len(records):
        _, task = await stream.next()
        if task["status"] == "completed":
            assert task["result"]["content"][0]["text"] == "kind is done"
            done.add(task["taskId"])
    assert house.rendered == len(records)
    await stream.end()


async def test_only_ones_own_tasks_are_heard_of() -> None:
    house = House()
    foreign, mine = house.engine.add(a_record(tenant=OTHER)), house.engine.add(a_record())
    stream = house.listen(taskIds=[str(foreign.id), str(mine.id), "no-id", str(mine.id)])
    assert await stream.acknowledged() == {"taskIds": [str(mine.id)]}
    house.engine.change(foreign, state=JobState.SUCCEEDED)
    house.engine.change(mine, state=JobState.SUCCEEDED)
    heard = []
    while not stream.task.done() or not stream._heard.empty():
        heard.append((await stream.next())[1]["taskId"])
        await asyncio.sleep(0)
    assert set(heard) == {str(mine.id)}


async def test_a_stream_with_nothing_to_say_ends_at_once() -> None:
    stream = House().listen(taskIds=["6f1c6c62-4a8a-4f45-9b4c-d57a6f31b4d2"], toolsListChanged=False)
    assert await stream.acknowledged() == {}
    await stream.end()


async def test_tasks_are_not_pushed_to_who_does_not_declare_the_extension() -> None:
    house = House()
    record = house.engine.add(a_record())
    error = await house.listen(extension=False, taskIds=[str(record.id)]).refusal()
    assert error.code == -32021
    assert error.data == {"requiredCapabilities": {"extensions": {IDENTIFIER: {}}}}


async def test_changes_of_compositions_are_heard_by_who_wants_them() -> None:
    house = House()
    stream = house.listen(resourcesListChanged=True, resourceSubscriptions=[FIRST])
    assert await stream.acknowledged() == {"resourcesListChanged": True, "resourceSubscriptions": [FIRST]}
    house.changed.put_nowait([FIRST, "composer://compositions/second"])
    assert await stream.next() == ("resources/list_changed", {})
    assert await stream.next() == ("resources/updated", {"uri": FIRST})
    house.changed.put_nowait(["composer://compositions/second"])
    assert await stream.next() == ("resources/list_changed", {})

    only = house.listen(resourceSubscriptions=[FIRST])
    await only.acknowledged()
    stream.task.cancel()
    await asyncio.wait([stream.task])
    house.changed.put_nowait([FIRST])
    assert await only.next() == ("resources/updated", {"uri": FIRST})
    only.task.cancel()


async def test_what_the_server_says_to_all_is_heard_by_who_wants_it() -> None:
    house = House()
    stream, deaf = house.listen(toolsListChanged=True), house.listen(promptsListChanged=True)
    await stream.acknowledged()
    await deaf.acknowledged()
    await house.bus.publish(ToolsListChanged())
    assert await stream.next() == ("tools/list_changed", {})
    house.stopping.set()
    await stream.end()
    await deaf.end()
    assert deaf._heard.empty()


async def test_what_never_changes_is_not_promised() -> None:
    house = House()
    house.changing.clear()
    stream = house.listen(toolsListChanged=True, promptsListChanged=True)
    assert await stream.acknowledged() == {}
    await stream.end()


async def test_a_slow_reader_misses_steps_never_the_newest() -> None:
    house = House()
    record = house.engine.add(a_record(JobState.RUNNING))
    stream = house.listen(taskIds=[str(record.id)])
    await stream.acknowledged()
    await stream.next()
    stream.reads.clear()
    for step in range(50):
        record = house.engine.change(record, progress=step / 100, progress_message="step")
        await asyncio.sleep(0)
    house.engine.change(record, state=JobState.SUCCEEDED)
    await asyncio.sleep(0.01)
    stream.reads.set()
    await stream.end()
    heard = [(await stream.next())[1]["status"] for _ in range(stream._heard.qsize())]
    assert len(heard) <= 2
    assert heard[-1] == "completed"


async def test_who_does_not_read_at_all_is_not_listened_for() -> None:
    house = House(write_seconds=0.05)
    stream = house.listen(toolsListChanged=True)
    await stream.acknowledged()
    stream.reads.clear()
    await house.bus.publish(ToolsListChanged())
    assert (await stream.refusal()).code == -32603
    assert house.listener.streams == 0


async def test_streams_are_bounded_for_each_caller_and_for_all() -> None:
    house = House(streams=3, streams_per_caller=2)
    open_streams = [house.listen(toolsListChanged=True) for _ in range(2)]
    for stream in open_streams:
        await stream.acknowledged()
    error = await house.listen(toolsListChanged=True).refusal()
    assert (error.code, error.data["code"]) == (-32603, "too_many_streams")
    await house.listen(toolsListChanged=True, caller="bea").acknowledged()
    assert "of all callers" in str(await house.listen(toolsListChanged=True, caller="cid").refusal())
    # A place is free as soon as a stream has ended.
    open_streams[0].task.cancel()
    await asyncio.wait([open_streams[0].task])
    await house.listen(toolsListChanged=True).acknowledged()


@pytest.mark.parametrize(
    "wanted",
    [
        {"taskIds": ["x"] * 101},
        {"taskIds": "x"},
        {"taskIds": [7]},
        {"resourceSubscriptions": [f"composer://compositions/{number}" for number in range(101)]},
    ],
)
async def test_too_much_at_once_is_refused(wanted: dict[str, Any]) -> None:
    assert (await House().listen(**wanted).refusal()).code == -32602


async def test_a_stream_lasts_as_long_as_its_token() -> None:
    house = House()
    house.seconds = 0.05
    stream = house.listen(resourcesListChanged=True)
    await stream.acknowledged()
    await stream.end()


async def test_a_process_that_is_to_stop_ends_its_streams() -> None:
    house = House()
    record = house.engine.add(a_record())
    stream = house.listen(taskIds=[str(record.id)], resourcesListChanged=True)
    await stream.acknowledged()
    house.stopping.set()
    await stream.end()


async def test_a_store_that_goes_away_ends_the_stream_with_its_name() -> None:
    house = House()
    stream = house.listen(resourcesListChanged=True)
    await stream.acknowledged()
    house.changed.put_nowait(STORE_UNAVAILABLE.error(store="database", state=""))
    error = await stream.refusal()
    assert (error.code, error.data["code"]) == (-32603, "store_unavailable")
