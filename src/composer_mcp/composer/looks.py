"""What is looked for in the editor, what is found, and how a page goes on that was not logged in itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from playwright.async_api import Page, Response
from playwright.async_api import TimeoutError as PlaywrightTimeout

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
# A page that stands there changes its route; nothing is loaded.
GO = "address => { location.href = address; }"


class NotAccepted(Exception):
    """Composer did not go on with a restored login."""


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
    picture: bytes
    width: int
    height: int
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
            if reload:
                await page.goto(address, timeout=limit * 1000, wait_until="domcontentloaded")
                await page.reload(timeout=limit * 1000, wait_until="domcontentloaded")
            else:
                async with asyncio.timeout(limit):
                    await page.evaluate(GO, address)
            seconds = facts.RESTORED_SECONDS if reload else facts.AT_ONCE_SECONDS
            if await _becomes_readable(page, texts, refused, min(seconds, limit)):
                logins.needs_reload = reload
                return
    finally:
        page.remove_listener("response", on_response)
    raise NotAccepted


async def _becomes_readable(page: Page, texts: list[str], refused: asyncio.Event, seconds: float) -> bool:
    waiting = asyncio.create_task(page.wait_for_function(READABLE, arg=texts, timeout=seconds * 1000))
    refusal = asyncio.create_task(refused.wait())
    try:
        await asyncio.wait({waiting, refusal}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
        return waiting.done()
    except PlaywrightTimeout:
        return False
    finally:
        waiting.cancel()
        refusal.cancel()
        await asyncio.gather(waiting, refusal, return_exceptions=True)
