"""A small HTTP/1.1 client for load: one request at a time on each connection, every answer checked.

A general client costs more than the server that it measures; this one only knows what the benches send.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

ANSWER_SECONDS = 60.0


class BadAnswer(Exception):
    """A server answered something else than a result."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, its body put together."""

    status: int
    body: bytes

    def message(self) -> dict[str, Any]:
        """The JSON-RPC message: the body itself, or the last ``data`` line of an event stream.

        Raises:
            BadAnswer: there is none, or it is an error.
        """
        body = self.body
        if not body.startswith(b"{"):
            events = [line for line in body.splitlines() if line.startswith(b"data:") and len(line) > 6]
            body = events[-1][5:] if events else b""
        try:
            message: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise BadAnswer(f"HTTP {self.status}: {self.body[:300]!r}") from error
        if self.status != 200 or "result" not in message:
            raise BadAnswer(f"HTTP {self.status}: {self.body[:600]!r}")
        return message


class Connection(asyncio.Protocol):
    """A kept-alive connection; made anew when the server has closed it between two requests."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None
        self._heard: Callable[[bytes], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += data
        if self._heard is not None:
            self._heard(data)
        answer = _parse(self._received)
        if answer is not None and self._waiting is not None and not self._waiting.done():
            self._received.clear()
            self._waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(BadAnswer(f"connection lost: {error!r}"))

    async def ask(self, request: bytes, heard: Callable[[bytes], None] | None = None) -> Answer:
        """Send one request and return its answer; ``heard`` is given each piece of it as it arrives.

        Raises:
            BadAnswer: the connection broke.
            TimeoutError: no whole answer within a minute.
        """
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        if self._transport is None:
            raise BadAnswer("connection lost")
        self._received.clear()
        self._heard = heard
        self._waiting = loop.create_future()
        self._transport.write(request)
        late = loop.call_later(ANSWER_SECONDS, _give_up, self._waiting)
        try:
            return await self._waiting
        finally:
            late.cancel()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


def _give_up(waiting: asyncio.Future[Answer]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError(f"no answer within {ANSWER_SECONDS:.0f} s"))


def _parse(received: bytearray) -> Answer | None:
    """Return the answer once it is whole."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    status = int(head[9:12])
    at = end + 4
    mark = head.find(b"\r\ncontent-length:")
    if mark >= 0:
        length = int(head[mark + 17 :].split(b"\r\n", 1)[0])
        return Answer(status, bytes(received[at : at + length])) if len(received) >= at + length else None
    body = bytearray()
    while True:
        line = received.find(b"\r\n", at)
        if line < 0:
            return None
        size = int(bytes(received[at:line]).split(b";")[0], 16)
        if size == 0:
            return Answer(status, bytes(body)) if len(received) >= line + 4 else None
        if len(received) < line + 2 + size + 2:
            return None
        body += received[line + 2 : line + 2 + size]
        at = line + 2 + size + 2


def request(port: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
    """Write a POST to the MCP endpoint."""
    content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    lines = [
        "POST /mcp HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Accept: application/json, text/event-stream",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


@dataclass(slots=True)
class Load:
    """What one stretch of load has shown; times in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile_ms(self, share: float) -> float:
        """The time under which this share of the answers stayed, in milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def drive(port: int, request: bytes, callers: int, seconds: float) -> Load:
    """Let so many callers repeat one request for a while; each waits for its answer before it asks again.

    Raises:
        BadAnswer: an answer was no good result.
    """
    load = Load()
    connections = [Connection(port) for _ in range(callers)]
    began = time.perf_counter()
    until = began + seconds

    async def call(connection: Connection) -> None:
        while (sent := time.perf_counter()) < until:
            answer = await connection.ask(request)
            load.latencies.append(time.perf_counter() - sent)
            if answer.status != 200 or b'"structuredContent"' not in answer.body:
                raise BadAnswer(f"HTTP {answer.status}: {answer.body[:600]!r}")

    try:
        async with asyncio.timeout(seconds + ANSWER_SECONDS), asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(call(connection))
        load.seconds = time.perf_counter() - began
    finally:
        for connection in connections:
            connection.close()
    return load
