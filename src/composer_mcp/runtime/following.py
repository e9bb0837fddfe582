"""Keeps a process's settings as they are stored: told by the database at once, and looking each second.

While the database is away the last known values go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import structlog

from composer_mcp.errors import ComposerError

if TYPE_CHECKING:
    from composer_mcp.runtime.current import Live
    from composer_mcp.runtime.store import RuntimeStore

LOOK_SECONDS = 1.0
#: How long one look may take, and how long a start waits for the first.
LIMIT_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Follower:
    """Applies each stored change to ``live``."""

    def __init__(self, store: RuntimeStore, live: Live) -> None:
        self._store = store
        self._live = live
        self._told = asyncio.Event()
        self._away = False

    def look(self) -> None:
        """Look at once; called when a change was announced, or when announcements may have been missed."""
        self._told.set()

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Follow until the context is left; what is stored already applies when it is entered."""
        await self._look()
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._told.wait()
            self._told.clear()
            await self._look()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                # Not only a greater version: a restored database may have a smaller one.
                if await self._store.version() != self._live.current().version:
                    self._live.apply(await self._store.read())
        except (ComposerError, TimeoutError) as error:
            if not self._away:
                log.warning("runtime.store_away", error=repr(error), version=self._live.current().version)
            self._away = True
        else:
            if self._away:
                log.info("runtime.store_back", version=self._live.current().version)
            self._away = False
