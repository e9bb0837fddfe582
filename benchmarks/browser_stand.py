"""What the browser bench works with: the stand-in of Composer with one lesson in it, and Debian's Chromium.

The same steps are done in three ways: by our worker's own code, by a browser that is started for the call,
and through Playwright MCP. Each logs in with the token, opens the lesson, waits until it can be read, and
takes a picture: of the whole page, or of the window, which is what the library and the peer do by default.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from obstore.store import LocalStore
from playwright.async_api import async_playwright
from pydantic import SecretStr

from benchmarks.peers_at_hand import ENVIRONMENTS, LOCKS, PeerMissing
from composer_mcp.browser.extent import Extent
from composer_mcp.browser.pool import BrowserPool
from composer_mcp.composer import editor, facts, writes
from composer_mcp.composer.api import ComposerApi
from composer_mcp.composer.logins import Logins
from composer_mcp.composition.compose import compose
from composer_mcp.composition.lesson import Lesson
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import Preview, PreviewComposition
from composer_mcp.jobs.work import Work
from composer_mcp.store.artifacts import ArtifactStore
from composer_mcp.store.login_snapshots import SqliteLoginSnapshots
from composer_mcp.store.sqlite import Sqlite
from composer_mcp.store.sqlite_compositions import SqliteCompositions
from tests.integration.composer_fixtures import Chromium, Standin, chromium_for_tests
from tests.integration.support.authority import Authority
from tools import node

LESSON = Path(__file__).with_name("lesson.json")
PEER = "Playwright MCP"
PEER_PACKAGE = "@playwright/mcp"
LIMIT_SECONDS = 60
VIEWPORT = {"width": 1280, "height": 800}


@dataclass(frozen=True, slots=True)
class Stand:
    """The stand-in, a lesson in it, and a browser that trusts it."""

    folder: Path
    standin: Standin
    chromium: Chromium
    uid: str
    title: str

    @property
    def login(self) -> str:
        """The address that logs a page in."""
        settings = self.standin.settings()
        return facts.login_address(
            settings.app_url, settings.interface_language, settings.project_uid, self.standin.token
        )

    @property
    def address(self) -> str:
        """The address of the lesson in the editor."""
        return facts.editor_address(self.standin.app_url, self.uid)


@contextlib.contextmanager
def standing() -> Iterator[Stand]:
    """Start the stand-in and put a lesson into it."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="composer-bench-")))
        authority = Authority(folder / "authority")
        (folder / "standin").mkdir()
        standin = Standin(folder / "standin", authority)
        stack.callback(standin.stop)
        standin.calm()
        chromium = stack.enter_context(chromium_for_tests(authority))
        lesson = Lesson.model_validate(json.loads(LESSON.read_text(encoding="utf-8")))
        document = compose(lesson, writes.seed_of("bench", "lesson"), standin.settings().media_url)
        uid = standin.keep(document.shown(), "application/rdpcomposer")
        yield Stand(folder, standin, chromium, uid, lesson.title)


class Worker:
    """Our worker without its queue: pool, API client, register, artifacts, kept logins."""

    def __init__(self, stand: Stand, browsers: BrowserPool, composer: ComposerApi, file: Sqlite) -> None:
        self._stand, self._browsers, self._composer = stand, browsers, composer
        self._compositions = SqliteCompositions(file)
        token, key = SecretStr(stand.standin.token), SecretStr(stand.standin.project_key)
        self._logins = Logins(SqliteLoginSnapshots(file), token, key, composer.settings)
        artifacts = stand.folder / "artifacts"
        self._artifacts = ArtifactStore(LocalStore(str(artifacts), mkdir=True))

    async def is_ready(self) -> None:
        """Wait until a page stands ready for the next job."""
        async with asyncio.timeout(LIMIT_SECONDS):
            await self._browsers.ahead()

    async def preview(self, extent: Extent = "page") -> Preview:
        """Do one job."""
        work = Work(
            job_id=uuid4(),
            owner=uuid4(),
            tenant="bench",
            idempotency_key=uuid4().hex,
            attempt=1,
            first_started_at=datetime.now(UTC),
            progress=_silent,
            fence=_ours,
            composer=self._composer,
            browsers=self._browsers,
            artifacts=self._artifacts,
            compositions=self._compositions,
            logins=self._logins,
        )
        result = await handlers.run(PreviewComposition(uid=self._stand.uid, picture=extent), work)
        if not isinstance(result, Preview) or not result.composition_loaded:
            raise TypeError(f"no preview: {result}")
        return result


async def _silent(fraction: float, message: str) -> None:
    """Nobody waits for progress."""


async def _ours() -> None:
    """Nobody takes the job over."""


@contextlib.asynccontextmanager
async def working(stand: Stand, concurrency: int) -> AsyncIterator[Worker]:
    """Open what our worker has, with room for so many jobs at a time."""
    settings = stand.standin.settings(request_timeout_seconds=30, editor_timeout_seconds=LIMIT_SECONDS)
    browser = stand.chromium.settings(concurrency=concurrency, lease_wait_seconds=LIMIT_SECONDS)
    async with (
        Sqlite.open(stand.folder / f"state-{uuid4().hex}.sqlite3") as file,
        stand.standin.api(request_timeout_seconds=30, editor_timeout_seconds=LIMIT_SECONDS) as composer,
        BrowserPool(browser, editor.hosts(settings), visit=editor.home(settings)) as browsers,
    ):
        yield Worker(stand, browsers, composer, file)


async def fresh(stand: Stand, extent: Extent) -> int:
    """Do the steps in a browser that is started for them, as the library's manual shows it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=stand.chromium.executable,
            chromium_sandbox=True,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": tempfile.mkdtemp(dir=stand.chromium.folder)},
        )
        page = await browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        await page.goto(stand.login)
        await page.get_by_text(facts.HOME_BUTTON, exact=True).wait_for()
        await page.goto(stand.address)
        await page.get_by_text(stand.title).first.wait_for()
        picture = await page.screenshot(full_page=extent == "page")
        await browser.close()
    return len(picture)


def peer_version() -> str:
    """Return the version of the peer that is locked."""
    lock = json.loads((LOCKS / "playwright_mcp/package-lock.json").read_text(encoding="utf-8"))
    return str(lock["packages"][f"node_modules/{PEER_PACKAGE}"]["version"])


class Peer:
    """Playwright MCP, started once; each call uses a context of its own."""

    def __init__(self, client: Client, stand: Stand) -> None:
        self._client, self._stand = client, stand

    async def preview(self, extent: Extent) -> None:
        """Do the steps with its tools."""
        await self._call("browser_navigate", url=self._stand.login)
        await self._call("browser_wait_for", text=facts.HOME_BUTTON)
        await self._call("browser_navigate", url=self._stand.address)
        await self._call("browser_wait_for", text=self._stand.title)
        await self._call("browser_take_screenshot", fullPage=extent == "page")
        await self._call("browser_close")

    async def _call(self, tool: str, **arguments: object) -> None:
        answer = await self._client.call_tool(tool, arguments)
        if answer.is_error:
            raise RuntimeError(f"{tool}: {str(answer.content)[:500]}")


@contextlib.asynccontextmanager
async def peer(stand: Stand) -> AsyncIterator[Peer]:
    """Start the peer with the same browser, its sandbox on, each session with a state of its own.

    Raises:
        PeerMissing: it cannot be had here.
    """
    destination = ENVIRONMENTS / "playwright-mcp"
    try:
        node.install(LOCKS / "playwright_mcp", destination)
        command = node.program("playwright-mcp", destination)
    except (node.NodeError, OSError) as error:
        raise PeerMissing(f"{PEER} could not be installed here: {str(error)[:300]}") from error
    home = Path(tempfile.mkdtemp(dir=stand.chromium.folder))
    config = home / "config.json"
    launch = {
        "executablePath": str(stand.chromium.executable),
        "headless": True,
        "chromiumSandbox": True,
        "env": {"PATH": "/usr/bin:/bin", "TMPDIR": str(home)},
    }
    context = {"viewport": VIEWPORT, "reducedMotion": "reduce"}
    browser = {
        "browserName": "chromium",
        "isolated": True,
        "launchOptions": launch,
        "contextOptions": context,
    }
    config.write_text(json.dumps({"browser": browser, "outputDir": str(home)}), encoding="utf-8")
    server = StdioServerParameters(
        command=command[0], args=[*command[1:], "--config", str(config)], env={"TMPDIR": str(home)}
    )
    log = stand.folder / "playwright-mcp.log"
    with log.open("w", encoding="utf-8") as file:
        async with Client(stdio_client(server, errlog=file), mode="legacy") as client:
            yield Peer(client, stand)
    shutil.rmtree(home, ignore_errors=True)
