"""Records who is turned away at the door: the first at once, further ones as a number a minute.

Anybody can be turned away as often as he likes, without a token, so what that writes is bounded: of each
address and reason two entries a minute, and a hundred of these. What is beyond is counted together.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from composer_mcp.audit.entry import Entry, now
from composer_mcp.observability.access import correlation_id

if TYPE_CHECKING:
    from composer_mcp.audit.trail import AuditTrail

ACTION = "token.refused"
SECONDS = 60.0
PLACES_LIMIT = 100
OTHERS = ("others", "many", "various")


class Denials:
    """Counts for one process."""

    def __init__(self, trail: AuditTrail, seconds: float = SECONDS) -> None:
        self._trail = trail
        self._seconds = seconds
        self._counts: dict[tuple[str, str, str], int] = {}

    def saw(self, source: str, code: str, reason: str) -> None:
        """Somebody at ``source`` was turned away with an error and its reason."""
        place = (source, code, reason)
        if place not in self._counts:
            if len(self._counts) >= PLACES_LIMIT:
                place = OTHERS
            else:
                self._note(place, 1, correlation_id.get())
                self._counts[place] = 0
                return
        self._counts[place] = self._counts.get(place, 0) + 1

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Record the numbers each minute, and when the context is left."""

        async def count() -> None:
            while True:
                await asyncio.sleep(self._seconds)
                self._tell()

        counting = asyncio.create_task(count())
        try:
            yield
        finally:
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)
            self._tell()

    def _tell(self) -> None:
        counts, self._counts = self._counts, {}
        for place, count in counts.items():
            if count:
                self._note(place, count, "")

    def _note(self, place: tuple[str, str, str], count: int, correlation: str) -> None:
        source, code, reason = place
        details = {"reason": reason, "count": count}
        self._trail.note(Entry(now(), "", "anonymous", ACTION, "", code, source, correlation, details))
