"""What is looked for in the editor, what is found, and how a page goes on that was not logged in itself."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page, Response
from playwright.async_api import TimeoutError as PlaywrightTimeout

from composer_mcp.browser import pictures
from composer_mcp.composer import facts
from composer_mcp.composer.logins import Logins
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.composition import html, widgets
from composer_mcp.composition.document import Document

# Whether one of the texts can be read; style sheets may change white space and case.
READABLE = """texts => {
    const shown = document.body.innerText.replace(/\\s+/g, " ").toLowerCase();
    return texts.some(text => shown.includes(text));
}"""
# A page that stands there changes its route; nothing is loaded. Waiting inside the page costs one question,
# where the library's own waiting costs several.
GO = f"""async ([address, texts, milliseconds]) => {{
    const end = performance.now() + milliseconds;
    location.href = address;
    while (!({READABLE})(texts)) {{
        if (performance.now() > end) return false;
        await new Promise(requestAnimationFrame);
    }}
    return true;
}}"""
# Whether the editor's working copy becomes the composition; then the page as it is when it has settled.
ARRIVED = f"""async ([wanted, milliseconds, settling]) => {{
    const end = performance.now() + milliseconds;
    let loaded;
    while (!(loaded = ({facts.WORKING_COPY_IS})(wanted)) && performance.now() < end)
        await new Promise(requestAnimationFrame);
    return {{loaded, ...await ({pictures.SETTLED})(settling)}};
}}"""

#: How much longer than it may wait a page may need to say so; one that hangs never does.
HANGS_SECONDS = 2.0


class NotAccepted(Exception):
    """Composer did not go on with a restored login."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A page on which the composition can be read: is it whole, what is it called, how tall is it."""

    loaded: bool
    title: str
    height: int


@dataclass(frozen=True, slots=True)
class Look:
    """What the editor showed."""

    final_url: str
    page_title: str
    load_seconds: float
    editor_ready: bool
    composition_loaded: bool
    console_errors: list[str]
    network_errors: list[str]
    picture: pictures.Picture | None
    page_height: int


def readable_texts(document: Document) -> list[str]:
    """Return texts of which at least one can be read on the page once the composition is there."""
    found = [document.title or facts.UNTITLED]
    for widget in document.structure:
        match widget:
            case widgets.Head():
                found.append(widget.content_title or "")
            case widgets.Text():
                found.append(html.first_words(widget.content))
            case widgets.Quiz():
                found += [html.first_words(question.question) for question in widget.questions[:1]]
    return [text for text in (" ".join(text.split()).lower() for text in found) if text]


async def go_on(
    page: Page, address: str, texts: list[str], logins: Logins, settings: ComposerSettings
) -> None:
    """Open an address with a restored login: in the page as it stands, or after loading it again.

    Raises:
        NotAccepted: none of the texts can be read.
        PlaywrightError: the address cannot be opened.
    """
    limit = settings.editor_timeout_seconds
    refused = asyncio.Event()

    def on_response(response: Response) -> None:
        if response.status in facts.REFUSED_TOKEN and response.url.startswith(settings.api_url):
            refused.set()

    page.on("response", on_response)
    try:
        for reload in (True,) if logins.needs_reload else (False, True):
            refused.clear()
            seconds = min(facts.RESTORED_SECONDS if reload else facts.AT_ONCE_SECONDS, limit)
            if reload:
                await page.goto(address, timeout=limit * 1000, wait_until="domcontentloaded")
                await page.reload(timeout=limit * 1000, wait_until="domcontentloaded")
                readable = _loaded_readable(page, texts, seconds)
            else:
                readable = _routed_readable(page, address, texts, seconds)
            if await _unless(refused, readable):
                logins.needs_reload = reload
                return
    finally:
        page.remove_listener("response", on_response)
    raise NotAccepted


async def arrived(page: Page, document: Document, settings: ComposerSettings) -> Arrived:
    """Wait for a composition that can be read to be whole, and for its fonts and pictures.

    Raises:
        PlaywrightError: the page or its browser is gone.
    """
    wanted = [facts.WORKING_COPY_KEY, document.widget_ids]
    limits = [settings.working_copy_seconds * 1000, settings.pictures_seconds * 1000]
    found = await page.evaluate(ARRIVED, [wanted, *limits])
    return Arrived(bool(found["loaded"]), str(found["title"]), int(found["height"]))


async def _routed_readable(page: Page, address: str, texts: list[str], seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds + HANGS_SECONDS):
            return bool(await page.evaluate(GO, [address, texts, seconds * 1000]))
    except TimeoutError:
        return False
    except PlaywrightError as error:
        # A page that loads itself again forgets the question.
        if "navigat" in error.message:
            return False
        raise


async def _loaded_readable(page: Page, texts: list[str], seconds: float) -> bool:
    try:
        await page.wait_for_function(READABLE, arg=texts, timeout=seconds * 1000)
    except PlaywrightTimeout:
        return False
    return True


async def _unless(refused: asyncio.Event, readable: Coroutine[Any, Any, bool]) -> bool:
    """Whether a page becomes readable, before Composer refuses what it asks for."""
    waiting = asyncio.create_task(readable)
    refusal = asyncio.create_task(refused.wait())
    try:
        await asyncio.wait({waiting, refusal}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.done() and waiting.result()
    finally:
        waiting.cancel()
        refusal.cancel()
        await asyncio.gather(waiting, refusal, return_exceptions=True)
