"""One Chromium per worker, leased context by context.

A browser that crashed, served enough leases or grew old is replaced: the new one is started first, so no
lease is refused, and the old one ends with its last lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from playwright.async_api import Browser, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from composer_mcp.browser.lease import Lease, close_lease, open_lease
from composer_mcp.browser.settings import BrowserSettings
from composer_mcp.errors import BROWSER_UNAVAILABLE, ComposerError
from composer_mcp.observability import metrics

#: What of our environment Chromium needs; credentials and configuration stay with us.
ENVIRONMENT = (
    "DISPLAY", "HOME", "LANG", "LC_ALL", "PATH", "TZ", "XAUTHORITY",
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
)  # fmt: skip
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Peer connections would leave the page without asking for a host name.
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
)
#: What of our environment the driver must not have: debug output would show addresses with the token.
DRIVERS_OWN = ("TMPDIR", "DEBUG", "DEBUG_FILE", "PWDEBUG", "NODE_OPTIONS", "NODE_DEBUG")
LAUNCH_TRIES = 2
OPEN_TRIES = 2
CLOSE_SECONDS = 10

log = structlog.get_logger(__name__)


class Running:
    """One browser process tree and the use that was made of it."""

    def __init__(self, browser: Browser, process: int, hosts: frozenset[str]) -> None:
        self.browser = browser
        self.process = process
        self.hosts = hosts
        self.renew()
        self.open = 0
        # The browser's own word is not enough: it is not told when the driver dies.
        self.broken = False

    @property
    def is_up(self) -> bool:
        """Whether it can be used."""
        return not self.broken and self.browser.is_connected()

    def renew(self) -> None:
        """Count its use from now on."""
        self.born = self.used = time.monotonic()
        self.leases = 0

    def is_worn(self, settings: BrowserSettings) -> bool:
        """Whether it has done its part."""
        age = time.monotonic() - self.born
        return self.leases >= settings.recycle_after_leases or age >= settings.recycle_after_seconds


class BrowserPool:
    """Leases fresh contexts, at most ``concurrency`` at a time; use it as an async context manager.

    ``hosts`` are those that every lease may reach. A lease that names others as well costs a new browser.
    A ``lazy`` pool has a browser only while it is used: from a lease until ``idle_seconds`` after the last.
    """

    def __init__(self, settings: BrowserSettings, hosts: Collection[str] = (), *, lazy: bool = False) -> None:
        self._settings = settings
        self._lazy = lazy
        self._hosts = frozenset(hosts) | frozenset(settings.allowed_hosts)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._launching = asyncio.Lock()
        self._playwright: Playwright | None = None
        self._current: Running | None = None
        self._retired: set[Running] = set()
        self._directory: Path | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._resting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._directory = Path(
            tempfile.mkdtemp(prefix="composer-browser-", dir=self._settings.temporary_directory)
        )
        metrics.BROWSER_CAPACITY.set(self._settings.concurrency)
        if self._lazy:
            self._resting = asyncio.create_task(self._rest())
        else:
            try:
                await self._browser(self._hosts)
            except BaseException:
                await self._end()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    @property
    def is_healthy(self) -> bool:
        """Whether a browser is up at this moment."""
        return self._current is not None and self._current.is_up

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
            with metrics.BROWSER_CONTEXTS.track_inprogress():
                async with self._context(frozenset(hosts) | self._hosts) as taken:
                    yield taken
        finally:
            self._slots.release()

    @contextlib.asynccontextmanager
    async def _context(self, hosts: frozenset[str]) -> AsyncIterator[Lease]:
        running, taken = await self._open(hosts)
        try:
            yield taken
        finally:
            try:
                if not await close_lease(taken):
                    running.broken = True
            finally:
                running.open -= 1
                running.used = time.monotonic()
                if running in self._retired and running.open == 0:
                    self._retired.discard(running)
                    self._close_later(running)

    async def _open(self, hosts: frozenset[str]) -> tuple[Running, Lease]:
        for _ in range(OPEN_TRIES):
            running = await self._browser(hosts)
            metrics.BROWSER_LEASES.inc()
            running.leases += 1
            running.open += 1
            try:
                # A browser that hangs would otherwise keep every job until its limit, for ever.
                async with asyncio.timeout(self._settings.launch_timeout_seconds):
                    return running, await open_lease(running.browser, self._settings, hosts)
            except BaseException as error:
                running.open -= 1
                if not isinstance(error, (PlaywrightError, TimeoutError)):
                    raise
                log.warning("browser.broken", reason=str(error)[:200] or "it hangs")
                running.broken = True
        raise BROWSER_UNAVAILABLE.error(reason="it opens no page")

    async def _browser(self, hosts: frozenset[str]) -> Running:
        """Return a browser that is up and may reach ``hosts``; start one if there is none."""
        async with self._launching:
            current = self._current
            fits = current is not None and current.is_up and hosts <= current.hosts
            if current is not None and fits and not current.is_worn(self._settings):
                return current
            self._hosts |= hosts
            try:
                self._current = await self._launch()
            except ComposerError:
                if current is None or not fits:
                    raise
                # Worn, but better than none; the next try comes after as much use again.
                current.renew()
                return current
            if current is not None:
                self._retire(current)
            return self._current

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
                await _close(current)
                if not self._retired:
                    await self._stop_driver()

    def _retire(self, running: Running) -> None:
        log.info("browser.replaced", leases=running.leases, crashed=not running.is_up)
        if running.open:
            self._retired.add(running)
        else:
            self._close_later(running)

    def _close_later(self, running: Running) -> None:
        task = asyncio.create_task(_close(running))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _launch(self) -> Running:
        reason = ""
        for attempt in range(1, LAUNCH_TRIES + 1):
            try:
                playwright = await self._driver()
                browser = await self._start(playwright)
                process = await _process_of(browser)
            except PlaywrightError as error:
                reason = error.message.strip().splitlines()[0] if error.message.strip() else "no reason given"
                metrics.BROWSER_LAUNCHES.labels("failed").inc()
                log.error("browser.launch_failed", reason=error.message[:2000], attempt=attempt)
                # The driver itself may have died; a new one costs little, unless browsers still hang on it.
                if not self.is_healthy and not self._retired:
                    await self._stop_driver()
            else:
                metrics.BROWSER_LAUNCHES.labels("started").inc()
                log.info("browser.launched", version=browser.version)
                return Running(browser, process, self._hosts)
        raise BROWSER_UNAVAILABLE.error(reason=f"it does not start: {reason[:200]}")

    async def _start(self, playwright: Playwright) -> Browser:
        settings = self._settings
        directory = str(self._directory)
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        # Pages are kept from other hosts by the context; this also holds for redirects, which it cannot see.
        reachable = ", ".join(["MAP * ~NOTFOUND", *(f"EXCLUDE {host}" for host in sorted(self._hosts))])
        return await playwright.chromium.launch(
            executable_path=settings.executable,
            headless=settings.headless,
            chromium_sandbox=True,
            args=[*ARGUMENTS, f"--host-resolver-rules={reachable}"],
            env={**environment, "TMPDIR": directory},
            artifacts_dir=directory,
            downloads_path=directory,
            timeout=settings.launch_timeout_seconds * 1000,
            # The worker decides when the browser ends; jobs under way finish first.
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )

    async def _driver(self) -> Playwright:
        if self._playwright is None:
            before = {name: os.environ.pop(name, None) for name in DRIVERS_OWN}
            # The driver keeps browser profiles in its TMPDIR and knows no other way to name the place.
            os.environ["TMPDIR"] = str(self._directory)
            try:
                self._playwright = await async_playwright().start()
            finally:
                del os.environ["TMPDIR"]
                os.environ.update({name: value for name, value in before.items() if value is not None})
        return self._playwright

    async def _stop_driver(self) -> None:
        playwright, self._playwright = self._playwright, None
        if playwright is not None:
            with contextlib.suppress(PlaywrightError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await playwright.stop()

    async def _end(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            await asyncio.gather(self._resting, return_exceptions=True)
        running = [*self._retired, *([self._current] if self._current else [])]
        self._current = None
        self._retired.clear()
        await asyncio.gather(*(_close(each) for each in running), *self._closing)
        await self._stop_driver()
        if self._directory is not None:
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)


async def _process_of(browser: Browser) -> int:
    """Return the id of the browser's main process, which the driver keeps to itself."""
    session = await browser.new_browser_cdp_session()
    found = await session.send("SystemInfo.getProcessInfo")
    await session.detach()
    return next(int(each["id"]) for each in found["processInfo"] if each["type"] == "browser")


async def _close(running: Running) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await running.browser.close()
    except PlaywrightError as problem:
        # It crashed: nothing is left to be closed.
        log.warning("browser.not_closed", reason=type(problem).__name__)
    except TimeoutError:
        log.warning("browser.killed", process=running.process)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(running.process, signal.SIGKILL)
