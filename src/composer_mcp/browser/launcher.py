"""Starts Chromium, and the driver through which we speak to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import structlog
from playwright.async_api import Browser, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from composer_mcp.browser.running import CLOSE_SECONDS, Running
from composer_mcp.browser.settings import BrowserSettings
from composer_mcp.errors import BROWSER_UNAVAILABLE
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
    # Pages open no windows: a second one would be beyond the watch over the first.
    "--block-new-web-contents",
    # Peer connections would leave the page without asking for a host name. Those over TCP are not stopped by
    # this; the lease takes the constructor away.
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
)
#: A proxy that nobody is: whatever is not bypassed on purpose ends there.
NOWHERE = "https://127.0.0.1:1"
#: What of our environment the driver must not have: debug output would show addresses with the token.
DRIVERS_OWN = ("TMPDIR", "DEBUG", "DEBUG_FILE", "PWDEBUG", "NODE_OPTIONS", "NODE_DEBUG")
LAUNCH_TRIES = 2
#: How long the driver may need beside the browser.
DRIVER_SECONDS = 20.0

log = structlog.get_logger(__name__)


class Launcher:
    """Starts browsers that may reach certain hosts; the driver is started with the first."""

    def __init__(self, settings: BrowserSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._playwright: Playwright | None = None

    async def launch(self, hosts: frozenset[str], *, alone: bool) -> Running:
        """Start a browser; ``alone`` says that no other one hangs on the driver.

        Raises:
            browser_unavailable: it does not start.
        """
        reason = ""
        for attempt in range(1, LAUNCH_TRIES + 1):
            try:
                # The library's own limit is for Chromium alone: the driver may hang as well.
                async with asyncio.timeout(self._settings.launch_timeout_seconds + DRIVER_SECONDS):
                    running = await self._whole(hosts)
            except (PlaywrightError, TimeoutError) as error:
                told = str(error).strip() or "it does not answer"
                reason = told.splitlines()[0]
                metrics.BROWSER_LAUNCHES.labels("failed").inc()
                log.error("browser.launch_failed", reason=told[:2000], attempt=attempt)
                # The driver itself may have died; a new one costs little, unless browsers still hang on it.
                if alone:
                    await self.stop()
            else:
                metrics.BROWSER_LAUNCHES.labels("started").inc()
                log.info("browser.launched", version=running.browser.version)
                return running
        raise BROWSER_UNAVAILABLE.error(reason=f"it does not start: {reason[:200]}")

    async def stop(self) -> None:
        """End the driver, and with it whatever browser still hangs on it."""
        playwright, self._playwright = self._playwright, None
        if playwright is not None:
            with contextlib.suppress(PlaywrightError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await playwright.stop()

    async def _whole(self, hosts: frozenset[str]) -> Running:
        browser = await self._start(await self._driver(), hosts)
        try:
            return await Running.of(browser, hosts)
        except BaseException:
            await asyncio.shield(_end(browser))
            raise

    async def _start(self, playwright: Playwright, hosts: Iterable[str]) -> Browser:
        settings = self._settings
        folder = str(self._folder)
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        return await playwright.chromium.launch(
            executable_path=settings.executable,
            headless=settings.headless,
            chromium_sandbox=True,
            args=[*ARGUMENTS, *_reachable(sorted(hosts))],
            env={**environment, "TMPDIR": folder},
            artifacts_dir=folder,
            downloads_path=folder,
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
            os.environ["TMPDIR"] = str(self._folder)
            try:
                self._playwright = await async_playwright().start()
            finally:
                del os.environ["TMPDIR"]
                os.environ.update({name: value for name, value in before.items() if value is not None})
        return self._playwright


async def _end(browser: Browser) -> None:
    with contextlib.suppress(PlaywrightError, TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await browser.close()


def _reachable(hosts: list[str]) -> list[str]:
    """Return arguments that keep the whole browser from other hosts, and from these without encryption.

    The context of a lease refuses other hosts too, but sees neither redirects nor sockets nor shared workers.
    """
    names = ", ".join(["MAP * ~NOTFOUND", *(f"EXCLUDE {host}" for host in hosts)])
    direct = ";".join(
        ["<-loopback>", *(f"{scheme}://{host}" for host in hosts for scheme in ("https", "wss"))]
    )
    return [f"--host-resolver-rules={names}", f"--proxy-server={NOWHERE}", f"--proxy-bypass-list={direct}"]
