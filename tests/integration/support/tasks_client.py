"""A client of the tasks extension, as small as its specification allows: one request after another."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx

IDENTIFIER = "io.modelcontextprotocol/tasks"
VERSION = "2026-07-28"


class Refused(Exception):
    """The server answered with an error of the protocol."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.code = error["code"]
        self.error = error
        super().__init__(str(error))


class TasksClient:
    """Speaks to one process; ``host`` is the name by which the server is called, whichever process it is."""

    def __init__(self, port: int, token: str, host: str | None = None) -> None:
        self._headers = {"Authorization": f"Bearer {token}", "Host": host or f"127.0.0.1:{port}"}
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)

    async def __aenter__(self) -> TasksClient:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._http.aclose()

    def _request(self, method: str, parameters: dict[str, Any], extension: bool) -> dict[str, Any]:
        meta = {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientCapabilities": {
                "elicitation": {},
                "extensions": {IDENTIFIER: {}} if extension else {},
            },
        }
        headers = self._headers | {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": VERSION,
            "Mcp-Method": method,
        }
        name = parameters.get("name") or parameters.get("taskId")
        if name:
            headers["Mcp-Name"] = name
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters | {"_meta": meta}}
        return {"url": "/mcp", "json": body, "headers": headers}

    async def ask(self, method: str, extension: bool = True, **parameters: Any) -> dict[str, Any]:
        """Send one request and return its result."""
        async with self._http.stream("POST", **self._request(method, parameters, extension)) as answer:
            async for message in _messages(answer):
                if "error" in message:
                    raise Refused(message["error"])
                if "result" in message:
                    result: dict[str, Any] = message["result"]
                    return result
        raise AssertionError(f"{method} was not answered")

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return await self.ask("tools/call", name=tool, arguments=arguments)

    async def get(self, task: dict[str, Any]) -> dict[str, Any]:
        return await self.ask("tasks/get", taskId=task["taskId"])

    async def cancel(self, task: dict[str, Any]) -> dict[str, Any]:
        return await self.ask("tasks/cancel", taskId=task["taskId"])

    async def until(self, task: dict[str, Any], status: str, seconds: float = 15) -> dict[str, Any]:
        """Ask until the task has a status."""
        with anyio.fail_after(seconds):
            while True:
                seen = await self.get(task)
                if seen["status"] == status:
                    return seen
                await anyio.sleep(0.05)

    @contextlib.asynccontextmanager
    async def listen(self, **notifications: Any) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Open a stream; yields its messages, the acknowledgement first."""
        request = self._request("subscriptions/listen", {"notifications": notifications}, extension=True)
        async with self._http.stream("POST", **request) as answer:
            yield _messages(answer)


async def _messages(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    if answer.headers["content-type"].startswith("application/json"):
        yield json.loads(await answer.aread())
        return
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
