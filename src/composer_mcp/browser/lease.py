"""One lease: a fresh context with one page, what it may reach, and what went wrong in it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from playwright.async_api import (
    BrowserContext,
    CDPSession,
    ConsoleMessage,
    Download,
    Page,
    Request,
    Response,
    Route,
)
from playwright.async_api import Error as PlaywrightError

from composer_mcp.browser import folders
from composer_mcp.browser.running import Running
from composer_mcp.browser.settings import BrowserSettings
from composer_mcp.observability import metrics
from composer_mcp.observability.masking import beginning

#: What is kept of each kind of error; a broken page can report thousands.
MAX_ERRORS = 50
MAX_ERROR_LENGTH = 300
CLOSE_SECONDS = 10
#: A page that does not say what one and one is for so long, hangs.
ALIVE_SECONDS = 3.0
#: Addresses that stay inside the page.
INNER_SCHEMES = {"about", "blob", "data"}
# Runs in every frame before the page's own scripts. A peer connection over TCP asks neither the interception
# nor the list of hosts; nothing in Composer needs one.
NO_PEERS = """for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection", "RTCDataChannel"])
    delete globalThis[name];"""

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Lease:
    """A page for one job, in a context that nobody used before, and a folder that is the job's own.

    ``trouble`` says why the page cannot be used any more. ``pictures`` is for whoever takes a large picture:
    one at a time in a browser, because its memory is not needed twice.
    """

    page: Page
    running: Running
    folder: Path
    pictures: asyncio.Lock
    #: For what the library has no words; opened ahead, because each question costs time.
    session: CDPSession
    picture_max_height: int
    picture_max_bytes: int
    console_errors: list[str] = field(default_factory=list)
    network_errors: list[str] = field(default_factory=list)
    trouble: str | None = None
    #: Is told of each error that is kept: ``console`` or ``network``, and the text.
    heard: Callable[[str, str], None] | None = None

    def note(self, errors: list[str], text: str) -> None:
        """Keep an error, within bounds and without secrets: a page may say its own address, token and all."""
        if len(errors) < MAX_ERRORS:
            errors.append(beginning(text, MAX_ERROR_LENGTH))
            if self.heard is not None:
                self.heard("console" if errors is self.console_errors else "network", errors[-1])

    def refuse(self, what: str, address: str) -> None:
        """Note and count what the page tried and may not."""
        metrics.BROWSER_REFUSALS.labels(what).inc()
        self.note(self.network_errors, f"{REFUSALS[what]}: {without_secrets(address)}")

    def fail(self, kind: str, trouble: str) -> None:
        """Note and count why the page is of no more use; the first reason stays."""
        if self.trouble is None:
            self.trouble = trouble
            metrics.BROWSER_FAILURES.labels(kind).inc()
            log.warning("browser.page_failed", kind=kind)

    def forget(self) -> None:
        """Forget what was noted so far: it was not the job's doing."""
        self.console_errors.clear()
        self.network_errors.clear()

    async def is_alive(self, seconds: float = ALIVE_SECONDS) -> bool:
        """Whether the page answers; one that does not is noted as hung."""
        try:
            async with asyncio.timeout(seconds):
                return bool(await self.page.evaluate("1 + 1 === 2"))
        except TimeoutError:
            self.fail("page_hung", "its page does not respond")
        except PlaywrightError as error:
            # A page that navigates at this moment cannot answer, and lives.
            return "navigat" in error.message and self.trouble is None
        return False


#: What a page may not do, and how it is told.
REFUSALS = {"host": "blocked", "download": "download refused", "window": "window refused"}


def without_secrets(address: str) -> str:
    """Return an address without query and fragment, where tokens travel."""
    parts = urlsplit(address)
    if parts.scheme in INNER_SCHEMES:
        return f"{parts.scheme}:…"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def open_lease(
    running: Running, settings: BrowserSettings, hosts: Collection[str], folder: Path, pictures: asyncio.Lock
) -> Lease:
    """Open a context whose pages reach ``hosts`` over https and nothing else; the caller closes it.

    ``folder`` is removed with the lease.
    """
    try:
        context = await running.browser.new_context(
            accept_downloads=False,
            service_workers="block",
            viewport={"width": settings.viewport_width, "height": settings.viewport_height},
            locale="pt-BR",
            timezone_id="America/Sao_Paulo",
            reduced_motion="reduce",
        )
        try:
            await context.add_init_script(NO_PEERS)
            page = await context.new_page()
            taken = Lease(
                page,
                running,
                folder,
                pictures,
                await context.new_cdp_session(page),
                settings.picture_max_height,
                settings.picture_max_bytes,
            )
            await _watch(taken, context, hosts)
        except BaseException:
            await asyncio.shield(_close(context))
            raise
    except BaseException:
        folders.remove(folder)
        raise
    return taken


async def close_lease(taken: Lease) -> bool:
    """Close the context, also when the job that used it was cancelled; return whether that worked."""
    try:
        return await asyncio.shield(_close(taken.page.context))
    finally:
        await asyncio.shield(asyncio.to_thread(folders.remove, taken.folder))


async def _watch(taken: Lease, context: BrowserContext, hosts: Collection[str]) -> None:
    async def guard(route: Route) -> None:
        taken.refuse("host", route.request.url)
        with contextlib.suppress(PlaywrightError):
            await route.abort("blockedbyclient")

    def on_failed(request: Request) -> None:
        reason = request.failure or "failed"
        if "ERR_BLOCKED_BY_CLIENT" not in reason and "ERR_ABORTED" not in reason:
            taken.note(taken.network_errors, f"{reason}: {without_secrets(request.url)}")

    def on_response(response: Response) -> None:
        if response.status >= 400:
            taken.note(taken.network_errors, f"{response.status}: {without_secrets(response.url)}")

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            taken.note(taken.console_errors, message.text)

    def on_download(download: Download) -> None:
        taken.refuse("download", download.url)

    def on_crash(_: Page) -> None:
        if taken.running.stopped > 0:
            taken.running.stopped -= 1
            taken.fail("page_too_large", "its page used more memory than it may and was stopped")
        elif taken.running.is_up:
            taken.fail("page_crashed", "its page crashed")

    async def on_page(page: Page) -> None:
        # Should the browser ever open one, nobody watches over what happens in it.
        taken.refuse("window", page.url)
        with contextlib.suppress(PlaywrightError):
            await page.close()

    def on_window(event: dict[str, Any]) -> None:
        # The browser opens none, and tells only this.
        taken.refuse("window", str(event.get("url", "")))

    taken.session.on("Page.windowOpen", on_window)
    await taken.session.send("Page.enable")
    await context.route(beyond(hosts), guard)
    context.on("requestfailed", on_failed)
    context.on("response", on_response)
    context.on("console", on_console)
    context.on("weberror", lambda error: taken.note(taken.console_errors, str(error.error)))
    context.on("page", on_page)
    taken.page.on("download", on_download)
    taken.page.on("crash", on_crash)


def beyond(hosts: Collection[str]) -> re.Pattern[str]:
    """Return what the addresses have in common that a page must not reach.

    It is judged where the requests are, so that those which are allowed do not wait for us.
    """
    names = "|".join(re.escape(host) for host in sorted(hosts)) or "(?!)"
    inner = "|".join(sorted(INNER_SCHEMES))
    return re.compile(rf"^(?!(?:https://(?:{names})(?::\d+)?(?:[/?#]|$)|(?:{inner}):))", re.IGNORECASE)


async def _close(context: BrowserContext) -> bool:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await context.close()
    except (PlaywrightError, TimeoutError) as problem:
        # Its browser is gone or stuck; the pool replaces it, and the context goes with it.
        log.warning("browser.context_not_closed", reason=type(problem).__name__)
        return False
    return True
