"""How long jobs take lately, by kind: for how often to ask again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.requests import KINDS

REFRESH_SECONDS = 30.0


class Durations:
    """Answers at once from what is known, and reads again in the background when that has grown old."""

    def __init__(self, read: Callable[[], Awaitable[Mapping[str, float]]]) -> None:
        self._read = read
        self._seconds: Mapping[str, float] = {}
        self._read_at = -REFRESH_SECONDS
        self._reading: asyncio.Task[None] | None = None

    def expected_seconds(self, kind: str) -> float:
        """Return the typical time from start to end; what was declared for the kind, if none ended lately."""
        if time.monotonic() - self._read_at >= REFRESH_SECONDS and self._reading is None:
            self._read_at = time.monotonic()
            self._reading = asyncio.get_running_loop().create_task(self._refresh())
            self._reading.add_done_callback(self._done)
        known = self._seconds.get(kind)
        return KINDS[kind].expected_seconds if known is None else known

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _refresh(self) -> None:
        try:
            self._seconds = await self._read()
        except ComposerError:
            # What was known remains; a poll interval need not be exact.
            return

    def _done(self, _task: asyncio.Task[None]) -> None:
        self._reading = None
