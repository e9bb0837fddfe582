"""Pictures of a page: whole and settled for a preview, small and quick for what went wrong."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page

from composer_mcp.browser.lease import Lease

#: How long somebody waits for the large picture of another; their memory is not worth a job.
TURN_SECONDS = 2.0
GLIMPSE_SECONDS = 2.0
GLIMPSE_QUALITY = 40

# The page is as tall as its tallest part, also where a part of it scrolls inside the window.
TALLEST = """() => Math.max(document.documentElement.scrollHeight,
    ...[...document.querySelectorAll("body *")].filter(e => e.scrollHeight > e.clientHeight + 1
        && ["auto", "scroll"].includes(getComputedStyle(e).overflowY))
    .map(e => e.getBoundingClientRect().top + e.scrollHeight))"""
# Fonts and pictures are part of the look: wait for them, but not for one that never comes. What moves is
# shown where it ends, and what blinks is not shown.
SETTLED = """async milliseconds => {
    const pictures = [...document.images].filter(i => !i.complete)
        .map(i => new Promise(done => { i.onload = i.onerror = done; }));
    const limit = new Promise(done => setTimeout(done, milliseconds));
    await Promise.race([Promise.all([document.fonts.ready, ...pictures]), limit]);
    document.documentElement.style.caretColor = "transparent";
    for (const animation of document.getAnimations()) {
        try { animation.finish(); } catch { animation.cancel(); }
    }
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG, its size, and the height of the page, which may be taller."""

    data: bytes
    width: int
    height: int
    page_height: int


async def settle(page: Page, seconds: float) -> None:
    """Wait until fonts and pictures are there, at most so long, and shown."""
    await page.evaluate(SETTLED, seconds * 1000)


async def take(lease: Lease, settle_seconds: float) -> Picture:
    """Take a picture of the whole page, within the limits of the lease.

    Raises:
        PlaywrightError: the page or its browser is gone.
    """
    page = lease.page
    viewport = page.viewport_size or {"width": 1280, "height": 800}
    tallest = max(int(await page.evaluate(TALLEST)), viewport["height"])
    height = min(tallest, lease.picture_max_height)
    async with _turn(lease.pictures):
        try:
            while True:
                await page.set_viewport_size({"width": viewport["width"], "height": height})
                await settle(page, settle_seconds)
                data = await _png(page, lease.picture_max_bytes)
                if len(data) <= lease.picture_max_bytes or height <= viewport["height"]:
                    return Picture(data, viewport["width"], height, tallest)
                # Photographs fill a picture; what is shown of them grows with the height.
                share = lease.picture_max_bytes / len(data)
                height = max(viewport["height"], int(height * min(share, 1) * 0.9))
        finally:
            # A tall window holds tens of MiB, in the page and in the browser.
            with contextlib.suppress(PlaywrightError):
                await page.set_viewport_size(viewport)


async def glimpse(lease: Lease) -> bytes | None:
    """Return a small JPEG of the window as it is; ``None`` from a page that shows nothing any more."""
    try:
        async with asyncio.timeout(GLIMPSE_SECONDS):
            return await _capture(lease.page, {"format": "jpeg", "quality": GLIMPSE_QUALITY})
    except (PlaywrightError, TimeoutError):
        return None


async def _png(page: Page, limit_bytes: int) -> bytes:
    """Return a PNG; one that is too large is packed anew, for longer, before anything is cut."""
    data = await _capture(page, {"format": "png", "optimizeForSpeed": True})
    return data if len(data) <= limit_bytes else await _capture(page, {"format": "png"})


async def _capture(page: Page, options: dict[str, Any]) -> bytes:
    session = await page.context.new_cdp_session(page)
    try:
        answer = await session.send("Page.captureScreenshot", options)
    finally:
        with contextlib.suppress(PlaywrightError):
            await session.detach()
    return base64.b64decode(answer["data"])


@contextlib.asynccontextmanager
async def _turn(lock: asyncio.Lock) -> AsyncIterator[None]:
    got = False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TURN_SECONDS):
            got = await lock.acquire()
    try:
        yield
    finally:
        if got:
            lock.release()
