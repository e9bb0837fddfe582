"""Composer's editor in a browser: log in or go on as logged in, open a composition, look, take a picture.

Elements are found by role and text and by what Composer keeps in localStorage; its CSS is not known.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import structlog
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page
from playwright.async_api import TimeoutError as PlaywrightTimeout
from pydantic import SecretStr

from composer_mcp.browser import pictures
from composer_mcp.browser.extent import Extent
from composer_mcp.browser.lease import Lease, without_secrets
from composer_mcp.composer import facts
from composer_mcp.composer.breaker import Resting
from composer_mcp.composer.evidence import Evidence, Findings
from composer_mcp.composer.logins import Login, Logins
from composer_mcp.composer.looks import READABLE, Look, arrived, go_on, readable_texts
from composer_mcp.composer.meaning import NOTHING_CHANGED, left_alone
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.composition.document import Document
from composer_mcp.errors import (
    BROWSER_UNAVAILABLE,
    COMPOSER_CHANGED,
    COMPOSER_REJECTED_TOKEN,
    EDITOR_NOT_READY,
    ComposerError,
)
from composer_mcp.observability.masking import redact

if TYPE_CHECKING:
    from composer_mcp.browser.pool import BrowserPool
    from composer_mcp.composer.api import ComposerApi

log = structlog.get_logger(__name__)

#: What is told of a page, which may be anything.
MAX_ADDRESS = 3000
MAX_TITLE = 300
#: More of a text than this is not even looked through for secrets.
MAX_SHOWN = 10_000
#: Failures that count against the editor; a browser that died is our own.
EDITORS_FAULT = (EDITOR_NOT_READY, COMPOSER_CHANGED, COMPOSER_REJECTED_TOKEN)


def hosts(settings: ComposerSettings) -> frozenset[str]:
    """Return the hosts that Composer's pages need."""
    addresses = (settings.app_url, settings.api_url, settings.media_url)
    return frozenset(re.sub(r":\d+$", "", address.split("/")[2]) for address in addresses)


def home(settings: ComposerSettings) -> str:
    """Return the address at which Composer's pages begin, for whoever is not logged in yet."""
    return f"{settings.app_url}/"


@contextlib.asynccontextmanager
async def opened(
    browsers: BrowserPool, composer: ComposerApi, findings: Findings | None = None
) -> AsyncIterator[Editor]:
    """Lease a page for the editor, unless the editor fails so often that it is left alone.

    When something goes wrong, what the page shows by then is left in ``findings``.

    Raises:
        composer_unavailable: it is left alone; what goes wrong in the page is counted and passed on.
        browser_unavailable: there is no page.
    """
    settings = composer.settings
    try:
        with composer.editor_breaker.attempt() as attempt:
            async with browsers.lease(hosts(settings)) as lease:
                editor = Editor(lease, settings, composer.token)
                try:
                    async with _witnessed(editor, findings):
                        yield editor
                except ComposerError as error:
                    if error.code in EDITORS_FAULT:
                        attempt.failed()
                    if error.code is COMPOSER_REJECTED_TOKEN:
                        raise await _why_blank(composer) from None
                    raise
                attempt.succeeded()
    except Resting as resting:
        raise left_alone(resting, NOTHING_CHANGED, "its editor") from None


@contextlib.asynccontextmanager
async def _witnessed(editor: Editor, findings: Findings | None) -> AsyncIterator[None]:
    try:
        yield
    except BaseException as error:
        if findings is not None:
            # Who was cancelled must let go at once; an attempt that ran out of time is one of them.
            in_time = isinstance(error, Exception)
            findings.last = await editor.look_back(picture=in_time)
        raise


async def _why_blank(composer: ComposerApi) -> ComposerError:
    """Ask the API whether it is the token: a page that is broken for another reason is blank as well."""
    try:
        await composer.who_am_i()
        shown = "the page stays blank, although the API accepts the token"
    except ComposerError as error:
        if error.code is COMPOSER_REJECTED_TOKEN:
            return error
        shown = "the page stays blank, and the API does not answer properly either"
    return EDITOR_NOT_READY.error(seconds=composer.settings.editor_timeout_seconds, shown=shown)


class Editor:
    """The editor in one leased page."""

    def __init__(self, lease: Lease, settings: ComposerSettings, token: SecretStr) -> None:
        self._lease = lease
        self._settings = settings
        self._token = token

    @property
    def _page(self) -> Page:
        return self._lease.page

    @property
    def _limit(self) -> float:
        return self._settings.editor_timeout_seconds * 1000

    async def start_over(self) -> None:
        """Leave what was tried with a restored login, and all that went wrong in it.

        Raises:
            editor_not_ready: the page does not let go of it.
            browser_unavailable: Chromium died.
        """
        try:
            # Answers that are still on their way end with the page they were for, not in the next one.
            await self._page.goto("about:blank", timeout=self._limit)
        except PlaywrightTimeout:
            raise await self._not_ready() from None
        except PlaywrightError as error:
            raise await self._broken(error) from None
        self._lease.forget()

    async def log_in(self) -> None:
        """Log the page in with the service account's token.

        Raises:
            composer_rejected_token: the page stays blank, which is how Composer says no.
            editor_not_ready: Composer's page does not answer or is still loading.
            composer_changed: it shows something else.
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
            raise await self._not_home() from None
        except PlaywrightError as error:
            raise await self._broken(error) from None

    async def login(self) -> Login:
        """Return what the page knows now that it is logged in.

        Raises:
            browser_unavailable: Chromium died.
        """
        try:
            async with asyncio.timeout(self._settings.editor_timeout_seconds):
                storage = await self._page.evaluate(facts.READ_STORAGE)
                cookies = await self._page.context.cookies()
        except (PlaywrightError, TimeoutError) as error:
            raise await self._broken(PlaywrightError(str(error))) from None
        return Login([dict(each) for each in cookies], storage)

    async def restore(self, login: Login) -> None:
        """Make the page know what another one knew when it was logged in.

        Raises:
            editor_not_ready: Composer's page does not answer.
            browser_unavailable: Chromium died.
        """
        page, start = self._page, home(self._settings)
        try:
            if page.url != start:
                await page.goto(start, timeout=self._limit, wait_until="domcontentloaded")
            async with asyncio.timeout(self._settings.editor_timeout_seconds):
                if login.cookies:
                    await page.context.add_cookies(login.cookies)
                await page.evaluate(facts.WRITE_STORAGE, login.storage)
        except (PlaywrightTimeout, TimeoutError):
            raise await self._not_ready() from None
        except PlaywrightError as error:
            raise await self._broken(error) from None

    async def look_at(
        self, uid: str, document: Document, extent: Extent = "page", restored: Logins | None = None
    ) -> Look:
        """Open a composition, of which ``document`` is the content, and take a picture of that extent.

        ``restored`` is given when the page was not logged in itself.

        Raises:
            editor_not_ready: it did not show the composition in time.
            browser_unavailable: Chromium died.
            NotAccepted: Composer did not go on with the restored login.
        """
        page = self._page
        started = time.monotonic()
        address = facts.editor_address(self._settings.app_url, uid)
        try:
            if restored is None:
                await page.goto(address, timeout=self._limit, wait_until="domcontentloaded")
                await page.wait_for_function(READABLE, arg=readable_texts(document), timeout=self._limit)
            else:
                await go_on(page, address, readable_texts(document), restored, self._settings)
            # A page that hangs answers no question, and questions have no limit of their own.
            async with asyncio.timeout(self._limit / 1000 + self._settings.working_copy_seconds):
                shown = await arrived(page, document, self._settings)
                seconds = time.monotonic() - started
                taken = await self._picture(extent, shown.height)
        except (PlaywrightTimeout, TimeoutError):
            raise await self._not_ready() from None
        except PlaywrightError as error:
            raise await self._broken(error) from None
        return Look(
            final_url=_address_without_token(page.url)[:MAX_ADDRESS],
            page_title=redact(shown.title[:MAX_SHOWN])[:MAX_TITLE],
            load_seconds=round(seconds, 3),
            editor_ready=True,
            composition_loaded=shown.loaded,
            console_errors=list(self._lease.console_errors),
            network_errors=list(self._lease.network_errors),
            picture=taken,
            page_height=shown.height,
        )

    async def _picture(self, extent: Extent, page_height: int) -> pictures.Picture | None:
        match extent:
            case "page":
                return await pictures.take(self._lease, page_height, self._settings.pictures_seconds)
            case "window":
                return await pictures.take_window(self._lease)
            case "none":
                return None

    async def look_back(self, *, picture: bool) -> Evidence:
        """Return what the page shows now, whatever state it is in; never fails."""
        return Evidence(
            final_url=_address_without_token(self._page.url)[:MAX_ADDRESS],
            console_errors=list(self._lease.console_errors),
            network_errors=list(self._lease.network_errors),
            trouble=self._lease.trouble,
            picture=await pictures.glimpse(self._lease) if picture and not self._lease.trouble else None,
        )

    async def _is_blank(self) -> bool:
        try:
            return not await self._text()
        except PlaywrightError:
            return False

    async def _text(self) -> str:
        shown = await self._page.locator("body").inner_text(timeout=facts.LAST_WORDS_SECONDS * 1000)
        return " ".join(shown.split())

    def _network_failure(self) -> str | None:
        """Return the first failure below HTTP that the page met, such as ``ERR_NETWORK_CHANGED``."""
        found = (re.match(r"net::(ERR_\w+)", text) for text in self._lease.network_errors)
        return next((match[1] for match in found if match), None)

    async def _not_home(self) -> ComposerError:
        """Say why there is no home page: it is still loading, or it shows something else."""
        try:
            await self._page.wait_for_load_state("networkidle", timeout=facts.LAST_WORDS_SECONDS * 1000)
            shown = await self._text()
        except PlaywrightError:
            return await self._not_ready()
        if self._network_failure() or not shown:
            return await self._not_ready()
        # Whoever reads this must find out what the page is called now.
        said = redact(shown[:MAX_SHOWN])[:150]
        what = f"the login with a page that has no “{facts.HOME_BUTTON}” (it shows: “{said}”)"
        return COMPOSER_CHANGED.error(what=what, saved=NOTHING_CHANGED)

    async def _not_ready(self) -> ComposerError:
        title = ""
        with contextlib.suppress(PlaywrightError, TimeoutError):
            async with asyncio.timeout(facts.LAST_WORDS_SECONDS):
                title = await self._page.title()
        if not title:
            # A page without a title has not begun, or does not answer at all.
            await self._lease.is_alive(facts.LAST_WORDS_SECONDS)
        for text in (*self._lease.console_errors[:5], *self._lease.network_errors[:5]):
            log.warning("editor.page_error", text=text)
        return self._unready(redact(title[:MAX_SHOWN])[:MAX_TITLE] or "none", self._network_failure())

    async def _broken(self, error: PlaywrightError) -> ComposerError:
        # Texts of Playwright quote the address, which holds the token while logging in.
        said = error.message[:MAX_SHOWN]
        first = redact(said.splitlines()[0] if said else "no reason given")
        if network := re.search(r"net::(ERR_\w+)", first):
            log.warning("editor.unreachable", reason=network[1])
            return self._unready("none", network[1])
        log.warning("editor.browser_failed", reason=first[:300])
        return BROWSER_UNAVAILABLE.error(reason=self._lease.trouble or "it ended while it was in use")

    def _unready(self, title: str, network: str | None) -> ComposerError:
        shown = self._lease.trouble or f"page title: {title}" + (f", network: {network}" if network else "")
        error = EDITOR_NOT_READY.error(
            seconds=self._settings.editor_timeout_seconds,
            shown=shown,
            console_errors=self._lease.console_errors[:5],
            network_errors=self._lease.network_errors[:5],
        )
        if network:
            error.details["network"] = network
        return error


def may_pass(error: ComposerError) -> bool:
    """Whether looking again at once has a chance: the browser died, or its connection did."""
    return error.code is BROWSER_UNAVAILABLE or (
        error.code is EDITOR_NOT_READY and "network" in error.details
    )


def _address_without_token(address: str) -> str:
    base, _, fragment = address.partition("#")
    route = "" if facts.LOGIN_MARK in fragment else f"#{fragment}" if fragment else ""
    return redact((without_secrets(base) + route)[:MAX_SHOWN])
