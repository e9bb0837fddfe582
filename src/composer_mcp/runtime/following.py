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
from composer_mcp.observability import logs, metrics
from composer_mcp.runtime.store import CHANNEL
from composer_mcp.store.listener import Ear

if TYPE_CHECKING:
    from composer_mcp.runtime.current import Live
    from composer_mcp.runtime.store import RuntimeStore

LOOK_SECONDS = 1.0
#: How long one look may take, and how long a start waits for the first.
LIMIT_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Follower:
    """Applies each stored change to ``live``."""

    def __init__(self, live: Live) -> None:
        self._live = live
        live.on_change(lambda now: logs.set_level(now.log.level))
        self._told = asyncio.Event()
        self._away = False

    def look(self) -> None:
        """Look at once; called when a change was announced, or when announcements may have been missed."""
        self._told.set()

    @property
    def ear(self) -> Ear:
        """What a process with a listener must listen to."""
        return Ear(CHANNEL, lambda _: self.look(), self.look)

    @contextlib.asynccontextmanager
    async def run(self, store: RuntimeStore) -> AsyncIterator[None]:
        """Follow until the context is left; what is stored already applies when it is entered."""
        await self._look(store)
        task = asyncio.create_task(self._follow(store))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, store: RuntimeStore) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._told.wait()
            self._told.clear()
            await self._look(store)

    async def _look(self, store: RuntimeStore) -> None:
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                # Not only a greater version: a restored database may have a smaller one.
                if await store.version() != self._live.current().version:
                    self._live.apply(await store.read())
            metrics.SETTINGS_VERSION.set(self._live.current().version)
        except (ComposerError, TimeoutError) as error:
            if not self._away:
                log.warning("runtime.store_away", error=repr(error), version=self._live.current().version)
            self._away = True
        except Exception:
            # Nobody else in this process follows, so whatever it was, the next look is made.
            log.exception("runtime.look_failed", version=self._live.current().version)
        else:
            if self._away:
                log.info("runtime.store_back", version=self._live.current().version)
            self._away = False
