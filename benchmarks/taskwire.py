"""The tasks extension as a client speaks it: create, ask, listen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import load
from benchmarks.protocol import CLIENT, VERSION

DECLARED = {
    **CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
}
#: A client that wants a result soon: it asks again after 2 ms, then ever less often, at last every 40 ms.
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.002, 1.6, 0.040
RESULT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Service:
    """A server with tasks: where it is, who we are there, how its tool is called."""

    name: str
    port: int
    headers: Mapping[str, str]
    tool: str
    arguments: Callable[[str, int], dict[str, object]]

    def as_tenant(self, headers: Mapping[str, str]) -> Service:
        """The same service for another caller."""
        return Service(self.name, self.port, headers, self.tool, self.arguments)


class Caller:
    """One caller with a connection of its own."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._connection = load.Connection(service.port)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    async def create(self, label: str = "x", milliseconds: int = 0) -> str:
        """Create a task and return its id.

        Raises:
            BadAnswer: the call was not answered with a task.
        """
        service = self._service
        parameters = {"name": service.tool, "arguments": service.arguments(label, milliseconds)}
        result = await self._ask("tools/call", service.tool, parameters)
        if result.get("resultType") != "task":
            raise load.BadAnswer(f"no task: {result}")
        return str(result["taskId"])

    async def result(self, task: str, seconds: float = RESULT_SECONDS) -> dict[str, Any]:
        """Ask until the task has ended, and return it.

        Raises:
            BadAnswer: it did not complete.
            TimeoutError: it has not ended in time.
        """
        pause = FIRST_PAUSE
        async with asyncio.timeout(seconds):
            while True:
                found = await self._ask("tasks/get", task, {"taskId": task})
                if found["status"] == "completed":
                    return found
                if found["status"] != "working":
                    raise load.BadAnswer(f"task ended otherwise: {found}")
                await asyncio.sleep(pause)
                pause = min(pause * GROWTH, LONGEST_PAUSE)

    async def pushed(self, task: str) -> float:
        """Listen to a task; return the moment at which its completion was heard.

        Raises:
            BadAnswer: the server does not push.
        """
        heard: list[float] = []
        text = bytearray()

        def listen(piece: bytes) -> None:
            text.extend(piece)
            if not heard and b'"completed"' in text:
                heard.append(time.perf_counter())

        parameters = {"notifications": {"taskIds": [task]}, "_meta": DECLARED}
        await self._connection.ask(self._request("subscriptions/listen", None, parameters), listen)
        if not heard:
            raise load.BadAnswer(f"not pushed: {bytes(text)[-400:]!r}")
        return heard[0]

    async def _ask(self, method: str, name: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        request = self._request(method, name, {**parameters, "_meta": DECLARED})
        message = (await self._connection.ask(request)).message()
        result: dict[str, Any] = message["result"]
        return result

    def _request(self, method: str, name: str | None, parameters: Mapping[str, object]) -> bytes:
        headers = {"MCP-Protocol-Version": VERSION, "Mcp-Method": method, **self._service.headers}
        if name is not None:
            headers["Mcp-Name"] = name
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        return load.request(self._service.port, body, headers)
