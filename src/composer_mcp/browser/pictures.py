"""Pictures of a page: whole and settled for a preview, small and quick for what went wrong."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import ViewportSize

from composer_mcp.browser.lease import Lease

#: How long somebody waits for the large picture of another; their memory is not worth a job.
TURN_SECONDS = 10.0
GLIMPSE_SECONDS = 2.0
GLIMPSE_QUALITY = 40
#: For the library, to which a page without a size of its own is possible; ours all have one.
WINDOW: ViewportSize = {"width": 1280, "height": 800}

# Fonts and pictures are part of the look: wait for them, but not for one that never comes. What moves is
# shown where it ends, and what blinks is not shown. The page is as tall as its tallest part, also where a
# part of it scrolls inside the window. All in one question, because each costs time.
SETTLED = """async milliseconds => {
    const pictures = [...document.images].filter(i => !i.complete)
        .map(i => new Promise(done => { i.onload = i.onerror = done; }));
    const limit = new Promise(done => setTimeout(done, milliseconds));
    const animations = document.getAnimations();
    const changed = pictures.length + animations.length > 0 || document.fonts.status !== "loaded";
    await Promise.race([Promise.all([document.fonts.ready, ...pictures]), limit]);
    document.documentElement.style.caretColor = "transparent";
    for (const animation of document.getAnimations()) {
        try { animation.finish(); } catch { animation.cancel(); }
    }
    const scrolling = [...document.querySelectorAll("body *")]
        .filter(e => e.scrollHeight > e.clientHeight + 1
            && ["auto", "scroll"].includes(getComputedStyle(e).overflowY))
        .map(e => e.getBoundingClientRect().top + e.scrollHeight);
    const height = Math.max(document.documentElement.scrollHeight, ...scrolling);
    return {title: document.title, height, changed};
}"""
# What the page does about its new height, it does in its next frame; what that asked for is drawn in another.
FRAME = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
DRAWN = f"""async milliseconds => {{
    await {FRAME};
    if ((await ({SETTLED})(milliseconds)).changed) await {FRAME};
}}"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG and its size in pixels."""

    data: bytes
    width: int
    height: int


async def take(lease: Lease, page_height: int, settle_seconds: float) -> Picture:
    """Take a picture of the whole page, within the limits of the lease; its window stays as tall.

    Raises:
        PlaywrightError: the page or its browser is gone.
    """
    page = lease.page
    viewport = page.viewport_size or WINDOW
    tallest = max(page_height, viewport["height"])
    height = min(tallest, lease.picture_max_height)
    async with _turn(lease.pictures):
        while True:
            if height != viewport["height"]:
                await page.set_viewport_size({"width": viewport["width"], "height": height})
            await page.evaluate(DRAWN, settle_seconds * 1000)
            data = await _png(lease)
            if len(data) <= lease.picture_max_bytes or height <= viewport["height"]:
                return Picture(data, viewport["width"], height)
            # Photographs fill a picture; what is shown of them grows with the height.
            share = lease.picture_max_bytes / len(data)
            height = max(viewport["height"], int(height * min(share, 1) * 0.9))
            await page.set_viewport_size(viewport)


async def take_window(lease: Lease) -> Picture:
    """Take a picture of what fits the window.

    Raises:
        PlaywrightError: the page or its browser is gone.
    """
    viewport = lease.page.viewport_size or WINDOW
    return Picture(await _png(lease), viewport["width"], viewport["height"])


async def glimpse(lease: Lease) -> bytes | None:
    """Return a small JPEG of the window as it is; ``None`` from a page that shows nothing any more."""
    try:
        async with asyncio.timeout(GLIMPSE_SECONDS):
            return await _capture(lease, {"format": "jpeg", "quality": GLIMPSE_QUALITY})
    except (PlaywrightError, TimeoutError):
        return None


async def _png(lease: Lease) -> bytes:
    """Return a PNG; one that is too large is packed anew, for longer, before anything is cut."""
    data = await _capture(lease, {"format": "png", "optimizeForSpeed": True})
    return data if len(data) <= lease.picture_max_bytes else await _capture(lease, {"format": "png"})


async def _capture(lease: Lease, options: dict[str, Any]) -> bytes:
    answer = await lease.session.send("Page.captureScreenshot", options)
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
