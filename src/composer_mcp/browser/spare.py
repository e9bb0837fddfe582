"""The page that is opened ahead of the next job: at most one, never used twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from playwright.async_api import Error as PlaywrightError

from composer_mcp.browser.lease import Lease, close_lease
from composer_mcp.browser.running import Running
from composer_mcp.browser.settings import BrowserSettings

#: How long the visit may take that makes a host known to the page; without it the page is used all the same.
VISIT_SECONDS = 10.0

Later = Callable[[Coroutine[Any, Any, object]], None]

log = structlog.get_logger(__name__)


class Spare:
    """Holds one lease that is nobody's yet."""

    def __init__(self, settings: BrowserSettings, visit: str | None, later: Later) -> None:
        self._settings = settings
        self._visit = visit
        self._later = later
        self._lease: Lease | None = None
        self._made = 0.0
        self._hosts: frozenset[str] = frozenset()
        #: Set while there is one.
        self.ready = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether there is one."""
        return self.ready.is_set()

    def take(self, hosts: frozenset[str], current: Running | None) -> Lease | None:
        """Return the spare if it was made for ``hosts`` and this browser; whoever gets it closes it."""
        found = self._lease
        if found is None or not self._fits(found, current) or hosts != self._hosts:
            return None
        self._lease = None
        self.ready.clear()
        return found

    async def keep(self, running: Running, opened: Callable[[], Awaitable[Lease]]) -> None:
        """See that there is a spare of this browser; what does not fit any more is closed.

        Raises:
            PlaywrightError, TimeoutError: the browser opens no page.
        """
        found = self._lease
        if found is not None:
            young = time.monotonic() - self._made < self._settings.spare_seconds
            if young and found.trouble is None and self._fits(found, running):
                return
            self.discard()
        lease = await opened()
        try:
            if self._visit is not None and not await self._look_in(lease, self._visit):
                # What is left of a visit that failed may still come up; a page that saw nothing has no past.
                self._later(close_lease(lease))
                lease = await opened()
        except BaseException:
            await close_lease(lease)
            raise
        self._lease, self._made, self._hosts = lease, time.monotonic(), running.hosts
        self.ready.set()

    def discard(self) -> None:
        """Close it, if there is one; nobody waits for that."""
        found, self._lease = self._lease, None
        self.ready.clear()
        if found is not None:
            self._later(close_lease(found))

    async def _look_in(self, lease: Lease, address: str) -> bool:
        try:
            async with asyncio.timeout(VISIT_SECONDS):
                await lease.page.goto(address, wait_until="load")
        except (PlaywrightError, TimeoutError):
            log.info("browser.visit_failed", network_errors=lease.network_errors[:3])
            return False
        return True

    def _fits(self, lease: Lease, running: Running | None) -> bool:
        return lease.running is running and lease.running.is_up
