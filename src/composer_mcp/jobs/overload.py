"""What a full queue says to those it refuses: when to come back, by how fast it empties.

Whoever is refused is given the next free appointment, not the same one as everybody: a thousand callers who
come back at the same moment would find the queue full again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from composer_mcp.errors import ComposerError

#: What is said while nothing has ended for a minute, or nobody can tell.
UNKNOWN_SECONDS = 10
#: Nobody is sent away for longer.
LONGEST_SECONDS = 300
#: How old a reading of the pace may be: a flood of refusals must not become one of questions.
FRESH_SECONDS = 1.0
#: Tenants whose next appointment is remembered: those that were refused last.
LINES_LIMIT = 1000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Jobs of each tenant that ended within the last ``seconds``."""

    ended: Mapping[str, int]
    seconds: float

    def rate(self, tenant: str | None) -> float:
        """Return how many places become free in a second: of one tenant, or of all.

        A tenant of which nothing has ended yet will get as much as each of the others.
        """
        ended: float = sum(self.ended.values())
        if tenant is not None:
            ended = self.ended.get(tenant) or ended / (len(self.ended) + 1)
        return ended / max(self.seconds, 1.0)


class Appointments:
    """Says to each refused caller when a place is likely to be free, one after the other.

    ``share`` is this process's part of all callers: others give appointments for the same places.
    """

    def __init__(self, read: Callable[[], Awaitable[Pace]], share: float = 1.0) -> None:
        self._read = read
        self._share = share
        self._pace = Pace({}, 1.0)
        self._read_at = -math.inf
        self._lock = asyncio.Lock()
        self._next: OrderedDict[str | None, float] = OrderedDict()

    async def retry_after(self, tenant: str | None) -> int:
        """Return the whole seconds to wait, for a place of one tenant, or for one of all."""
        async with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                try:
                    self._pace = await self._read()
                except ComposerError:
                    # The call is refused, whether anybody can still say how fast the queue moves or not.
                    self._pace = Pace({}, 1.0)
                self._read_at = time.monotonic()
        rate = self._pace.rate(tenant) * self._share
        if rate <= 0:
            return UNKNOWN_SECONDS
        now = time.monotonic()
        at = max(now, self._next.get(tenant, now)) + 1 / rate
        seconds = max(1, math.ceil(at - now))
        if seconds > LONGEST_SECONDS:
            return LONGEST_SECONDS
        self._remember(tenant, at)
        return seconds

    def _remember(self, tenant: str | None, at: float) -> None:
        self._next[tenant] = at
        self._next.move_to_end(tenant)
        if len(self._next) > LINES_LIMIT:
            self._next.popitem(last=False)


@contextlib.asynccontextmanager
async def counting(
    count: Callable[[], Awaitable[None]], needed: Callable[[], bool], seconds: float = 1.0
) -> AsyncIterator[None]:
    """Have the queue counted again and again while ``needed`` says so, until the context is left."""

    async def keep() -> None:
        while True:
            if needed():
                try:
                    await count()
                except ComposerError as error:
                    log.warning("overload.not_counted", error=error.sentence)
            await asyncio.sleep(seconds)

    task = asyncio.create_task(keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
