"""Composer's editor in a browser: log in, open a composition, look whether it is there, take a picture.

Elements are found by role and text and by what Composer keeps in localStorage; its CSS is not known.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page
from playwright.async_api import TimeoutError as PlaywrightTimeout
from pydantic import SecretStr

from composer_mcp.browser.lease import Lease, without_secrets
from composer_mcp.composer import facts
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.composition import html, widgets
from composer_mcp.composition.document import Document
from composer_mcp.errors import (
    BROWSER_UNAVAILABLE,
    COMPOSER_REJECTED_TOKEN,
    EDITOR_NOT_READY,
    ComposerError,
)

log = structlog.get_logger(__name__)

# The page is as tall as its tallest part, also where a part of it scrolls inside the window.
TALLEST = """() => Math.max(document.documentElement.scrollHeight,
    ...[...document.querySelectorAll("body *")].filter(e => e.scrollHeight > e.clientHeight + 1
        && ["auto", "scroll"].includes(getComputedStyle(e).overflowY))
    .map(e => e.getBoundingClientRect().top + e.scrollHeight))"""
# Whether one of the texts can be read; style sheets may change white space and case.
READABLE = """texts => {
    const shown = document.body.innerText.replace(/\\s+/g, " ").toLowerCase();
    return texts.some(text => shown.includes(text));
}"""
WORKING_COPY = """([key, ids]) => {
    const widgets = JSON.parse(localStorage.getItem(key) ?? "null")?.structure ?? [];
    const found = widgets.map(w => w?.id).filter(id => typeof id === "string");
    return JSON.stringify(found) === JSON.stringify(ids);
}"""
WORKING_COPY_SECONDS = 5
# Fonts and pictures are part of the look: wait for them, but not for one that never comes.
SETTLED = """async () => {
    const pictures = [...document.images].filter(i => !i.complete)
        .map(i => new Promise(done => { i.onload = i.onerror = done; }));
    const limit = new Promise(done => setTimeout(done, 5000));
    await Promise.race([Promise.all([document.fonts.ready, ...pictures]), limit]);
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


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


def hosts(settings: ComposerSettings) -> frozenset[str]:
    """Return the hosts that Composer's pages need."""
    addresses = (settings.app_url, settings.api_url, settings.media_url)
    return frozenset(re.sub(r":\d+$", "", address.split("/")[2]) for address in addresses)


class Editor:
    """The editor in one leased page."""

    def __init__(
        self, lease: Lease, settings: ComposerSettings, token: SecretStr, redact: Callable[[str], str]
    ) -> None:
        self._lease = lease
        self._settings = settings
        self._token = token
        self._redact = redact

    @property
    def _page(self) -> Page:
        return self._lease.page

    @property
    def _limit(self) -> float:
        return self._settings.editor_timeout_seconds * 1000

    async def log_in(self) -> None:
        """Log the page in with the service account's token.

        Raises:
            composer_rejected_token: the page stays blank, which is how Composer says no.
            editor_not_ready: Composer's page does not answer or shows something else.
            browser_unavailable: Chromium died.
        """
        settings = self._settings
        address = facts.login_address(
            settings.app_url,
            settings.interface_language,
            settings.project_uid,
            self._token.get_secret_value(),
        )
        try:
            await self._page.goto(address, timeout=self._limit, wait_until="domcontentloaded")
            home = self._page.get_by_text(facts.HOME_BUTTON, exact=True)
            await home.wait_for(state="visible", timeout=self._limit)
        except PlaywrightTimeout:
            if not self._network_failure() and await self._is_blank():
                raise COMPOSER_REJECTED_TOKEN.error() from None
            raise await self._not_ready() from None
        except PlaywrightError as error:
            raise await self._broken(error) from None

    async def look_at(self, uid: str, document: Document) -> Look:
        """Open a composition, of which ``document`` is the content, and take a picture.

        Raises:
            editor_not_ready: it did not show the composition in time.
            browser_unavailable: Chromium died.
        """
        page = self._page
        started = time.monotonic()
        try:
            await page.goto(
                facts.editor_address(self._settings.app_url, uid),
                timeout=self._limit,
                wait_until="domcontentloaded",
            )
            await page.wait_for_function(READABLE, arg=_readable_texts(document), timeout=self._limit)
            loaded = await self._has_loaded(document)
            await page.evaluate(SETTLED)
            seconds = time.monotonic() - started
            picture, width, height = await self._picture()
            title = await page.title()
        except PlaywrightTimeout:
            raise await self._not_ready() from None
        except PlaywrightError as error:
            raise await self._broken(error) from None
        return Look(
            final_url=_address_without_token(page.url, self._redact),
            page_title=self._redact(title),
            load_seconds=round(seconds, 3),
            editor_ready=True,
            composition_loaded=loaded,
            console_errors=[self._redact(text) for text in self._lease.console_errors],
            network_errors=[self._redact(text) for text in self._lease.network_errors],
            picture=picture,
            width=width,
            height=height,
        )

    async def _has_loaded(self, document: Document) -> bool:
        """Whether the editor's working copy becomes the composition."""
        wanted = [facts.WORKING_COPY_KEY, document.widget_ids]
        try:
            await self._page.wait_for_function(WORKING_COPY, arg=wanted, timeout=WORKING_COPY_SECONDS * 1000)
        except PlaywrightTimeout:
            return False
        return True

    async def _picture(self) -> tuple[bytes, int, int]:
        page, viewport = self._page, self._page.viewport_size or {"width": 1280, "height": 800}
        tallest = await page.evaluate(TALLEST)
        height = min(max(int(tallest), viewport["height"]), self._lease.picture_max_height)
        await page.set_viewport_size({"width": viewport["width"], "height": height})
        await page.evaluate(SETTLED)
        picture = await page.screenshot(timeout=self._limit, animations="disabled", caret="hide")
        return picture, viewport["width"], height

    async def _is_blank(self) -> bool:
        try:
            return not (await self._page.locator("body").inner_text(timeout=1000)).strip()
        except PlaywrightError:
            return False

    def _network_failure(self) -> str | None:
        """Return the first failure below HTTP that the page met, such as ``ERR_NETWORK_CHANGED``."""
        found = (re.match(r"net::(ERR_\w+)", text) for text in self._lease.network_errors)
        return next((match[1] for match in found if match), None)

    async def _not_ready(self) -> ComposerError:
        try:
            title = await self._page.title()
        except PlaywrightError:
            title = ""
        for text in (*self._lease.console_errors[:5], *self._lease.network_errors[:5]):
            log.warning("editor.page_error", text=self._redact(text))
        return self._unready(self._redact(title) or "none", self._network_failure())

    async def _broken(self, error: PlaywrightError) -> ComposerError:
        # Texts of Playwright quote the address, which holds the token while logging in.
        first = self._redact(error.message.splitlines()[0] if error.message else "no reason given")
        if network := re.search(r"net::(ERR_\w+)", first):
            log.warning("editor.unreachable", reason=network[1])
            return self._unready("none", network[1])
        log.warning("editor.browser_failed", reason=first[:300])
        return BROWSER_UNAVAILABLE.error(reason="it ended while it was in use")

    def _unready(self, title: str, network: str | None) -> ComposerError:
        shown = f"{title}, network: {network}" if network else title
        error = EDITOR_NOT_READY.error(seconds=self._settings.editor_timeout_seconds, page_title=shown)
        if network:
            error.details["network"] = network
        return error


def may_pass(error: ComposerError) -> bool:
    """Whether looking again at once has a chance: the browser died, or its connection did."""
    return error.code is BROWSER_UNAVAILABLE or (
        error.code is EDITOR_NOT_READY and "network" in error.details
    )


def _readable_texts(document: Document) -> list[str]:
    """Return texts of which at least one can be read on the page once the composition is there."""
    found = [document.title or "Sem título"]
    for widget in document.structure:
        match widget:
            case widgets.Head():
                found.append(widget.content_title or "")
            case widgets.Text():
                found.append(html.first_words(widget.content))
            case widgets.Quiz():
                found += [html.first_words(question.question) for question in widget.questions[:1]]
    return [text for text in (" ".join(text.split()).lower() for text in found) if text]


def _address_without_token(address: str, redact: Callable[[str], str]) -> str:
    base, _, fragment = address.partition("#")
    route = "" if "auth-with-token" in fragment else f"#{fragment}" if fragment else ""
    return redact(without_secrets(base) + route)
