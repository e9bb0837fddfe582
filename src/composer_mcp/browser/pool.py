"""One Chromium per worker, leased context by context.

A browser that crashed, served enough leases, grew old or large is replaced: the new one is started first, so
no lease is refused, and the old one ends with its last lease. One page is opened ahead of the next job.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Coroutine
from types import TracebackType
from typing import Any, Self

import structlog
from playwright.async_api import Error as PlaywrightError

from composer_mcp.browser import folders
from composer_mcp.browser.launcher import Launcher
from composer_mcp.browser.lease import Lease, close_lease, open_lease
from composer_mcp.browser.observed import observed
from composer_mcp.browser.running import Running
from composer_mcp.browser.settings import BrowserSettings
from composer_mcp.browser.spare import Spare
from composer_mcp.errors import BROWSER_UNAVAILABLE, ComposerError
from composer_mcp.observability import metrics

OPEN_TRIES = 2
#: After a start that failed, the next one waits for a lease, or for so long.
PAUSE_SECONDS = 10.0
#: A job that has its page for longer than this does not keep the next one from being opened.
SPARE_DELAY_SECONDS = 1.0
#: Every so many looks at the pages, the whole browser is weighed.
WEIGH_EVERY = 10

log = structlog.get_logger(__name__)


class BrowserPool:
    """Leases fresh contexts, at most ``concurrency`` at a time; use it as an async context manager.

    ``hosts`` are those that every lease may reach. A lease that names others as well costs a new browser.
    ``visit`` is an address that the spare page opens while it waits, so that its host is known to the page.
    A ``lazy`` pool has a browser only while it is used: from a lease until ``idle_seconds`` after the last.
    """

    def __init__(
        self,
        settings: BrowserSettings,
        hosts: Collection[str] = (),
        *,
        visit: str | None = None,
        lazy: bool = False,
    ) -> None:
        self._settings = settings
        self._lazy = lazy
        self._hosts = frozenset(hosts) | frozenset(settings.allowed_hosts)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._launching = asyncio.Lock()
        self._pictures = asyncio.Lock()
        self._current: Running | None = None
        self._retired: set[Running] = set()
        self._spare = Spare(settings, visit, self._later)
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[object]] = set()

    async def __aenter__(self) -> Self:
        self._folders = await asyncio.to_thread(folders.Folders, self._settings.temporary_directory)
        self._launcher = Launcher(self._settings, self._folders.path)
        metrics.BROWSER_CAPACITY.set(self._settings.concurrency)
        if not self._lazy:
            try:
                await self._browser(self._hosts)
            except BaseException:
                await self._end()
                raise
            self._wake.set()
        keepers = [self._tend(), self._watch()] + ([self._rest()] if self._lazy else [])
        self._keepers = [asyncio.create_task(keeper) for keeper in keepers]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    @property
    def is_healthy(self) -> bool:
        """Whether a browser is up at this moment."""
        return self._current is not None and self._current.is_up

    @property
    def is_ahead(self) -> bool:
        """Whether a page stands ready for the next job."""
        return self._spare.is_ready

    async def ahead(self) -> None:
        """Wait until a page stands ready for the next job."""
        await self._spare.ready.wait()

    @contextlib.asynccontextmanager
    async def lease(self, hosts: Collection[str] = ()) -> AsyncIterator[Lease]:
        """Open a fresh context whose page reaches ``hosts`` (and those of the pool) over https.

        Raises:
            browser_unavailable: no slot became free in time, or Chromium does not start.
        """
        try:
            with metrics.BROWSER_WAIT_SECONDS.time():
                async with asyncio.timeout(self._settings.lease_wait_seconds):
                    await self._slots.acquire()
        except TimeoutError:
            reason = f"all {self._settings.concurrency} contexts were in use"
            raise BROWSER_UNAVAILABLE.error(reason=reason) from None
        try:
            taken = await self._open(frozenset(hosts) | self._hosts)
        except BaseException:
            self._slots.release()
            raise
        # The next page is opened when this job is done with the processor, or takes its time.
        later = asyncio.get_running_loop().call_later(SPARE_DELAY_SECONDS, self._wake.set)
        try:
            with observed(taken):
                yield taken
        finally:
            later.cancel()
            # Nobody waits for it but the next job, if there is no other place.
            self._later(self._give_back(taken))

    async def _open(self, hosts: frozenset[str]) -> Lease:
        spare = await self._spare_for(hosts)
        metrics.BROWSER_SPARES.labels("none" if spare is None else "taken").inc()
        if spare is not None:
            return spare
        for _ in range(OPEN_TRIES):
            running = await self._browser(hosts)
            running.open += 1
            try:
                return _counted(await self._lease_of(running, hosts))
            except BaseException as error:
                self._leave(running)
                if not isinstance(error, (PlaywrightError, TimeoutError)):
                    raise
                running.lose("browser_hung", str(error) or "it opens no page")
        raise BROWSER_UNAVAILABLE.error(reason="it opens no page")

    async def _spare_for(self, hosts: frozenset[str]) -> Lease | None:
        """Return the page that stands ready, if it is of use for ``hosts`` and still answers."""
        found = self._spare.take(hosts, self._current)
        if found is None:
            return None
        # Counted before anything is awaited: a browser that nobody is in may be closed meanwhile.
        found.running.open += 1
        usable = False
        try:
            if usable := found.trouble is None and await found.is_alive():
                found.forget()
                return _counted(found)
            # Before another page of it is tried, which takes longer.
            await found.running.answers()
            return None
        finally:
            if not usable:
                self._later(close_lease(found))
                self._leave(found.running)

    def _leave(self, running: Running) -> None:
        """Count one who is in it less; a retired browser ends with the last."""
        running.open -= 1
        if running in self._retired and running.open == 0:
            self._retired.discard(running)
            self._later(running.close())

    async def _lease_of(self, running: Running, hosts: frozenset[str]) -> Lease:
        folder = await asyncio.to_thread(self._folders.make)
        # A browser that hangs would otherwise keep every job until its limit, for ever.
        async with asyncio.timeout(self._settings.launch_timeout_seconds):
            return await open_lease(running, self._settings, hosts, folder, self._pictures)

    async def _give_back(self, taken: Lease) -> None:
        running = taken.running
        try:
            if not await close_lease(taken):
                running.lose("browser_hung", "a context could not be closed")
        finally:
            running.used = time.monotonic()
            self._leave(running)
            self._slots.release()
            self._wake.set()

    async def _browser(self, hosts: frozenset[str]) -> Running:
        """Return a browser that is up and may reach ``hosts``; start one if there is none."""
        async with self._launching:
            current = self._current
            if current is not None and current.is_up and hosts <= current.hosts:
                return current
            return await self._replace(hosts, "host" if current is not None and current.is_up else "lost")

    async def _replace(self, hosts: frozenset[str], reason: str) -> Running:
        """Start a browser in the place of the present one; whoever calls this is launching."""
        before = self._current
        self._hosts |= hosts
        alone = not self._retired and not self.is_healthy
        self._current = await self._launcher.launch(self._hosts, alone=alone)
        if before is not None:
            metrics.BROWSER_RECYCLES.labels(reason).inc()
            log.info("browser.replaced", leases=before.leases, reason=reason)
            self._spare.discard()
            if before.open:
                self._retired.add(before)
            else:
                self._later(before.close())
        self._count()
        return self._current

    async def _tend(self) -> None:
        """Keep a browser that is not worn, and one page ahead, while nobody waits for them."""
        pause: float | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._wake.clear()
            pause = self._settings.spare_seconds
            try:
                await self._renew()
                await self._prepare()
            except (ComposerError, PlaywrightError, TimeoutError) as error:
                log.warning("browser.not_tended", reason=str(error)[:200])
                pause = PAUSE_SECONDS

    async def _renew(self) -> None:
        current = self._current
        if current is None:
            return
        wear = current.wear(self._settings) if current.is_up else "lost"
        if wear is None or (wear == "lost" and self._lazy):
            return
        async with self._launching:
            if self._current is not current:
                return
            try:
                await self._replace(self._hosts, wear)
            except ComposerError:
                # Worn, but better than none; the next try comes after as much use again.
                current.renew()
                raise

    async def _prepare(self) -> None:
        running = self._current
        if running is None or not running.is_up or not self._settings.warm_spare:
            return
        # It belongs to nobody yet: what it costs is not taken from the slots of jobs.
        await self._spare.keep(running, lambda: self._lease_of(running, running.hosts))

    async def _watch(self) -> None:
        """Stop pages that use too much memory, and weigh the browsers from time to time."""
        looks = 0
        while True:
            await asyncio.sleep(self._settings.watch_seconds)
            looks += 1
            browsers = [each for each in (self._current, *self._retired) if each is not None and each.is_up]
            for running in browsers:
                await self._look_at(running, weigh=looks % WEIGH_EVERY == 0)
            self._count()

    async def _look_at(self, running: Running, *, weigh: bool) -> None:
        if not await running.answers():
            self._wake.set()
            return
        await asyncio.to_thread(running.stop_heavy_pages, self._settings.page_limit_mib)
        if weigh:
            await asyncio.to_thread(running.weigh)
            if running is self._current and running.wear(self._settings):
                self._wake.set()

    async def _rest(self) -> None:
        """Close a browser that nobody uses, and its driver with it; the next lease starts both again."""
        idle = self._settings.idle_seconds
        while True:
            await asyncio.sleep(idle)
            # Held while it closes, so that a lease that comes meanwhile gets a new one.
            async with self._launching:
                current = self._current
                if current is None or current.open or time.monotonic() - current.used < idle:
                    continue
                self._current = None
                log.info("browser.rests", leases=current.leases)
                self._spare.discard()
                await current.close()
                if not self._retired:
                    await self._launcher.stop()
                self._count()

    def _later(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _done(self) -> None:
        """Wait until contexts and browsers are closed; each of them has a limit."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _count(self) -> None:
        browsers = [*self._retired, *([self._current] if self._current else [])]
        metrics.BROWSERS.set(sum(each.is_up for each in browsers))
        metrics.BROWSER_MEMORY_BYTES.set(sum(each.memory_mib for each in browsers) * 1024 * 1024)

    async def _end(self) -> None:
        keepers = getattr(self, "_keepers", [])
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        self._spare.discard()
        await self._done()
        running = [*self._retired, *([self._current] if self._current else [])]
        self._current = None
        self._retired.clear()
        await asyncio.gather(*(each.close() for each in running))
        await self._done()
        self._count()
        await self._launcher.stop()
        await asyncio.to_thread(self._folders.close)


def _counted(taken: Lease) -> Lease:
    metrics.BROWSER_LEASES.inc()
    taken.running.leases += 1
    return taken
