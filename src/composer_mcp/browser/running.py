"""One browser: its process tree, how worn it is, what it uses of the machine, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import time
from dataclasses import dataclass
from typing import Literal

import structlog
from playwright.async_api import Browser, CDPSession
from playwright.async_api import Error as PlaywrightError

from composer_mcp.browser.memory import proportional_mib, resident_mib
from composer_mcp.browser.settings import BrowserSettings
from composer_mcp.observability import metrics

CLOSE_SECONDS = 10
#: A browser that says nothing for so long hangs; a busy machine is given time.
ANSWER_SECONDS = 10.0
#: A browser that is worth its start is kept at least this long, however much memory its pages use.
PROBATION_SECONDS = 30

Wear = Literal["leases", "age", "memory"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Family:
    """Ids of the processes of a browser."""

    browser: int
    renderers: tuple[int, ...]
    others: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """All of them."""
        return (self.browser, *self.renderers, *self.others)


class Running:
    """One browser process tree and the use that was made of it."""

    def __init__(self, browser: Browser, session: CDPSession, hosts: frozenset[str]) -> None:
        self.browser = browser
        self.hosts = hosts
        self.family = Family(0, (), ())
        self.memory_mib = 0.0
        #: Renderers that were stopped because they used too much and whose pages were not yet told.
        self.stopped = 0
        self.renew()
        self.open = 0
        # The browser's own word is not enough: it is not told when the driver dies.
        self.broken = False
        self._ending = False
        self._session = session
        browser.on("disconnected", self._on_disconnected)

    @classmethod
    async def of(cls, browser: Browser, hosts: frozenset[str]) -> Running:
        """Watch a browser that has just started."""
        running = cls(browser, await browser.new_browser_cdp_session(), hosts)
        await running.count()
        return running

    @property
    def is_up(self) -> bool:
        """Whether it can be used."""
        return not self.broken and self.browser.is_connected()

    def renew(self) -> None:
        """Count its use from now on."""
        self.born = self.used = time.monotonic()
        self.leases = 0

    def wear(self, settings: BrowserSettings) -> Wear | None:
        """Why it has done its part; ``None`` if it has not."""
        age = time.monotonic() - self.born
        if self.leases >= settings.recycle_after_leases:
            return "leases"
        if age >= settings.recycle_after_seconds:
            return "age"
        if self.memory_mib > settings.recycle_above_mib and age >= PROBATION_SECONDS:
            return "memory"
        return None

    async def count(self) -> None:
        """Ask the browser for its processes.

        Raises:
            PlaywrightError: it is gone.
        """
        found = await self._session.send("SystemInfo.getProcessInfo")
        by_type: dict[str, list[int]] = {}
        for each in found["processInfo"]:
            by_type.setdefault(each["type"], []).append(int(each["id"]))
        (browser,) = by_type.pop("browser")
        renderers = tuple(by_type.pop("renderer", ()))
        self.family = Family(browser, renderers, tuple(itertools.chain(*by_type.values())))

    async def answers(self, seconds: float = ANSWER_SECONDS) -> bool:
        """Whether it still speaks to us, after which its processes are known anew; if not, it is lost."""
        try:
            async with asyncio.timeout(seconds):
                await self.count()
        except TimeoutError:
            self.lose("browser_hung", "it does not answer")
        except (PlaywrightError, KeyError, ValueError) as error:
            self.lose("browser_lost", str(error))
        return self.is_up

    def weigh(self) -> None:
        """Measure its memory; reads some files, so it belongs into a thread."""
        self.memory_mib = proportional_mib(self.family.all)

    def stop_heavy_pages(self, limit_mib: float) -> int:
        """Kill renderers that use more than ``limit_mib``; their pages crash. Return how many there were."""
        heavy = [(process, resident_mib(process)) for process in self.family.renderers]
        stopped = 0
        for process, used in heavy:
            if used > limit_mib:
                log.warning("browser.page_stopped", process=process, mebibytes=round(used), limit=limit_mib)
                self.stopped += 1
                stopped += 1
                _kill(process)
        return stopped

    def lose(self, kind: str, reason: str) -> None:
        """Note that it cannot be used any more, and count why, once."""
        if not self.broken and not self._ending:
            log.warning("browser.broken", kind=kind, reason=reason[:200])
            metrics.BROWSER_FAILURES.labels(kind).inc()
        self.broken = True

    async def close(self) -> None:
        """End it; one that does not end is killed."""
        self._ending = True
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.browser.close()
        except PlaywrightError as problem:
            # It crashed: nothing is left to be closed.
            log.warning("browser.not_closed", reason=type(problem).__name__)
        except TimeoutError:
            log.warning("browser.killed", process=self.family.browser)
            for process in self.family.all:
                _kill(process)

    def _on_disconnected(self, _browser: Browser) -> None:
        self.lose("browser_lost", "it ended")


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, signal.SIGKILL)
