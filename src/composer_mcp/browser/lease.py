"""One lease: a fresh context with one page, what it may reach, and what went wrong in it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Download,
    Page,
    Request,
    Response,
    Route,
)
from playwright.async_api import Error as PlaywrightError

from composer_mcp.browser.settings import BrowserSettings

#: What is kept of each kind of error; a broken page can report thousands.
MAX_ERRORS = 50
MAX_ERROR_LENGTH = 300
CLOSE_SECONDS = 10
#: Addresses that stay inside the page.
INNER_SCHEMES = {"about", "blob", "data"}

log = structlog.get_logger(__name__)


@dataclass
class Lease:
    """A page for one job, in a context that nobody used before."""

    page: Page
    picture_max_height: int
    picture_max_bytes: int
    console_errors: list[str] = field(default_factory=list)
    network_errors: list[str] = field(default_factory=list)

    def note(self, errors: list[str], text: str) -> None:
        """Keep an error, within bounds."""
        if len(errors) < MAX_ERRORS:
            errors.append(text[:MAX_ERROR_LENGTH])


def without_secrets(address: str) -> str:
    """Return an address without query and fragment, where tokens travel."""
    parts = urlsplit(address)
    if parts.scheme in INNER_SCHEMES:
        return f"{parts.scheme}:…"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def open_lease(browser: Browser, settings: BrowserSettings, hosts: Collection[str]) -> Lease:
    """Open a context whose pages reach ``hosts`` over https and nothing else; the caller closes it."""
    context = await browser.new_context(
        accept_downloads=False,
        service_workers="block",
        viewport={"width": settings.viewport_width, "height": settings.viewport_height},
        locale="pt-BR",
        timezone_id="America/Sao_Paulo",
        reduced_motion="reduce",
    )
    try:
        return await _watched(context, settings, set(hosts))
    except BaseException:
        await asyncio.shield(_close(context))
        raise


async def close_lease(taken: Lease) -> bool:
    """Close the context, also when the job that used it was cancelled; return whether that worked."""
    return await asyncio.shield(_close(taken.page.context))


async def _watched(context: BrowserContext, settings: BrowserSettings, hosts: set[str]) -> Lease:
    taken = Lease(await context.new_page(), settings.picture_max_height, settings.picture_max_bytes)

    async def guard(route: Route) -> None:
        request = route.request
        parts = urlsplit(request.url)
        if parts.scheme in INNER_SCHEMES or (parts.scheme == "https" and parts.hostname in hosts):
            await route.continue_()
        else:
            taken.note(taken.network_errors, f"blocked: {without_secrets(request.url)}")
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
        taken.note(taken.network_errors, f"download refused: {without_secrets(download.url)}")

    await context.route("**/*", guard)
    context.on("requestfailed", on_failed)
    context.on("response", on_response)
    context.on("console", on_console)
    context.on("weberror", lambda error: taken.note(taken.console_errors, str(error.error)))
    taken.page.on("download", on_download)
    return taken


async def _close(context: BrowserContext) -> bool:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await context.close()
    except (PlaywrightError, TimeoutError) as problem:
        # Its browser is gone or stuck; the pool replaces it, and the context goes with it.
        log.warning("browser.context_not_closed", reason=type(problem).__name__)
        return False
    return True
