"""Callers that never stop: each makes one call after the other, and repeats what broke under the same key."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from .stage import Stage

CALLERS = 6
#: A call that has no final answer by then is lost, however often it was repeated.
CALL_SECONDS = 150.0
PAUSE_SECONDS = 0.3
LONGEST_PAUSE_SECONDS = 5.0
BROKEN = (OSError, MCPError, httpx2.HTTPError, TimeoutError, ExceptionGroup)


@dataclass(slots=True)
class Call:
    """One call to its end; moments are monotonic seconds, ``failure`` is empty if it succeeded."""

    caller: int
    tool: str
    title: str
    began: float
    ended: float = 0.0
    repeats: int = 0
    failure: str = ""
    #: What made the caller ask again, the newest last.
    reasons: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Ledger:
    """All calls that have ended, in the order of their ends."""

    calls: list[Call] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def add(self, call: Call) -> None:
        """Enter a call that has ended."""
        async with self._news:
            self.calls.append(call)
            self._news.notify_all()

    async def recovered(self, since: float, limit: float) -> float | None:
        """Wait until a call that each caller began after ``since`` has succeeded; return the seconds it took.

        ``None``: not within ``limit`` seconds.
        """

        def good() -> set[int]:
            return {call.caller for call in self.calls if call.began >= since and not call.failure}

        try:
            async with asyncio.timeout(limit), self._news:
                await self._news.wait_for(lambda: len(good()) >= CALLERS)
        except TimeoutError:
            return None
        firsts = (
            min(call.ended for call in self.calls if call.caller == each and call.began >= since)
            for each in range(CALLERS)
        )
        return max(firsts) - since

    def between(self, began: float, ended: float) -> list[Call]:
        """The calls that were under way at some time within a stretch."""
        return [call for call in self.calls if call.ended >= began and call.began <= ended]


def lesson(title: str) -> dict[str, Any]:
    """The smallest lesson with a title."""
    return {"title": title, "elements": [{"type": "text", "text": "A célula é a menor unidade da vida."}]}


async def call_tool(stage: Stage, token: str, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    """Make one call as a client that has just started would.

    Raises:
        one of ``BROKEN``: there is no answer of the tool.
    """
    async with stage.platform.client(token) as client:
        return await client.call_tool(tool, arguments, read_timeout_seconds=CALL_SECONDS)


async def persist(stage: Stage, tenant: str, call: Call, arguments: dict[str, Any]) -> dict[str, Any]:
    """Repeat a call until it has succeeded, failed for good, or taken too long; return what it returned."""
    problem = "no answer at all"
    while time.monotonic() - call.began < CALL_SECONDS:
        pause = PAUSE_SECONDS
        try:
            async with asyncio.timeout(CALL_SECONDS):
                token = stage.issuer.token(tenant, sub=tenant)
                result = await call_tool(stage, token, call.tool, arguments)
        except BROKEN as broken:
            problem = f"{type(broken).__name__}: {broken}"
        else:
            content: dict[str, Any] = result.structured_content or {}
            if not result.is_error:
                return content
            error = content.get("error", {})
            problem = f"{error.get('code')}: {error.get('message')}"
            if not error.get("retryable"):
                break
            pause = min(float(error.get("details", {}).get("retry_after", pause)), LONGEST_PAUSE_SECONDS)
        call.repeats += 1
        call.reasons.append(problem)
        await asyncio.sleep(pause)
    call.failure = problem
    return {}


class Callers:
    """A task for each caller; every caller is a tenant of its own."""

    def __init__(self, stage: Stage, mark: str) -> None:
        self._stage, self._mark = stage, mark
        self.ledger = Ledger()
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Let all of them begin."""
        self._tasks = [asyncio.create_task(self._go_on(number)) for number in range(CALLERS)]

    async def finish(self) -> None:
        """Let the calls under way come to their ends, and make no more."""
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def _go_on(self, number: int) -> None:
        tenant = f"school-{number}"
        for title in self._titles(number):
            if self._over.is_set():
                return
            made = await self._do(
                number,
                tenant,
                "create_composition",
                title,
                {"lesson": lesson(title), "idempotency_key": title.replace(" ", "-")},
            )
            if made:
                await self._do(number, tenant, "get_composition", title, {"uid": made["uid"]})
                await self._do(number, tenant, "preview_composition", title, {"uid": made["uid"]})

    async def _do(
        self, number: int, tenant: str, tool: str, title: str, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        call = Call(number, tool, title, time.monotonic())
        content = await persist(self._stage, tenant, call, arguments)
        call.ended = time.monotonic()
        await self.ledger.add(call)
        return content

    def _titles(self, number: int) -> Iterator[str]:
        return (f"{self._mark} {number} {count}" for count in itertools.count())
