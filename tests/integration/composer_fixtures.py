"""The third party and the browser for integration tests: the stand-in over TLS, and a real Chromium.

Chromium's sandbox refuses to run for root. Tests that run as root therefore start it as ``nobody``, through
a small program in the place of the browser; the sandbox stays on.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from composer_mcp.browser.pool import BrowserPool
from composer_mcp.browser.settings import BrowserSettings
from composer_mcp.composer import editor
from composer_mcp.composer.api import ComposerApi
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.jobs.work import Work
from composer_mcp.store.artifacts import ArtifactStore
from composer_mcp.store.compositions import CompositionRegistry
from composer_mcp.store.sqlite import Sqlite
from composer_mcp.store.sqlite_compositions import SqliteCompositions

from .support.authority import Authority
from .support.processes import START_SECONDS, free_port
from .support.site import Site

TESTS = Path(__file__).parents[1]
PROJECT_UID = "4d8f2f0e-8f5b-4f0c-9b55-7f4a0c6a1d21"
CONNECTOR_UID = "c3b0f7a6-1f43-4a52-8f06-2b9d6e0f5a10"

#: Stands in the place of Chromium when the tests run as root: gives the folders to nobody, then becomes it.
AS_NOBODY = """#!/bin/sh
for argument in "$@"; do
  case $argument in
    --user-data-dir=*) chown -R nobody: "${argument#--user-data-dir=}" "$TMPDIR" ;;
  esac
done
exec setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=@HOME@ @CHROMIUM@ "$@"
"""
AS_OURSELVES = '#!/bin/sh\nHOME=@HOME@ exec @CHROMIUM@ "$@"\n'


class Standin:
    """A running stand-in, its account, and its control switch."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.authority = authority.certificate
        self._state = folder
        self._environment = os.environ | {"PYTHONPATH": str(TESTS)}
        certificate, key = authority.issue("standin")
        self.port = free_port()
        self.app_url, self.api_url = f"https://localhost:{self.port}", f"https://127.0.0.1:{self.port}"
        self.token = self._run("token", "--key-file", str(folder / "signing-key")).strip()
        self._command = [
            sys.executable, "-m", "composer_standin", "--port", str(self.port),
            "--certificate", str(certificate), "--key", str(key), "--state-dir", str(folder),
            "--web-url", self.app_url, "--api-url", self.api_url,
        ]  # fmt: skip
        self._control = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(folder / "control.sock")), base_url="http://control"
        )
        self.start()
        self.project_key = (folder / "project-key").read_text()

    def _run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "composer_standin", *arguments]
        return subprocess.run(
            command, env=self._environment, check=True, capture_output=True, text=True, timeout=START_SECONDS
        ).stdout

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, env=self._environment)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                self._control.get("/faults")
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except (httpx.TransportError, OSError):
                assert self._process.poll() is None, "the stand-in ended; see its output above"
        raise AssertionError(f"the stand-in did not answer within {START_SECONDS} s")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=START_SECONDS)

    def settings(self, **changes: Any) -> ComposerSettings:
        """Settings of a client that is in a hurry, as tests are."""
        values: dict[str, Any] = {
            "app_url": self.app_url,
            "api_url": self.api_url,
            "media_url": f"{self.app_url}/rdpcomposer/media",
            "project_uid": PROJECT_UID,
            "connector_uid": CONNECTOR_UID,
            "authority": self.authority,
            "retry_first_delay_seconds": 0.02,
            "settle_seconds": 0.3,
            "settle_poll_seconds": 0.05,
            "request_timeout_seconds": 5,
            "editor_timeout_seconds": 15,
        }
        return ComposerSettings(**values | changes)

    def api(self, token: str | None = None, **changes: Any) -> ComposerApi:
        return ComposerApi(
            self.settings(**changes), SecretStr(token or self.token), SecretStr(self.project_key)
        )

    # --- control -------------------------------------------------------------------------------------

    def provoke(self, route: str, **fault: Any) -> None:
        """Make a route fail: action, status, times, rate, latency, after_saving."""
        self._control.post("/faults", json={"route": route, **fault}).raise_for_status()

    def options(self, **options: Any) -> None:
        self._control.put("/options", json=options).raise_for_status()

    def calm(self) -> None:
        """No failures, not even the occasional ones."""
        self._control.delete("/faults").raise_for_status()
        self.options(occasional=False)

    def calls(self, route: str) -> int:
        return int(self._control.get("/faults").json()["calls"].get(route, 0))

    def requests(self) -> int:
        """How many requests there were, but for the first page, which a browser opens ahead of any job."""
        calls: dict[str, int] = self._control.get("/faults").json()["calls"]
        return sum(count for route, count in calls.items() if route != "page")

    def keep(self, content: Any, content_type: str) -> str:
        """Keep a content as if somebody had made it by hand; return its uid."""
        values = {"content": json.dumps(content), "content_type": content_type}
        answer = self._control.post("/contents", json=values | {"project_uid": PROJECT_UID, "user_uid": "u"})
        return str(answer.raise_for_status().json()["uid"])

    def compositions(self, title: str) -> list[dict[str, Any]]:
        found = self._control.get("/compositions").raise_for_status().json()
        return [each for each in found if each["title"] == title]

    def titles(self) -> list[str]:
        """The titles of all compositions."""
        return [each["title"] for each in self._control.get("/compositions").raise_for_status().json()]


@pytest.fixture(scope="session")
def standin_process(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Standin]:
    running = Standin(tmp_path_factory.mktemp("standin"), authority)
    yield running
    running.stop()


@pytest.fixture
def standin(standin_process: Standin) -> Standin:
    standin_process.calm()
    return standin_process


@dataclass(frozen=True)
class Chromium:
    """A browser that trusts the test authority, and where it may put its files."""

    executable: Path
    folder: Path

    def settings(self, **changes: Any) -> BrowserSettings:
        values = {"executable": self.executable, "temporary_directory": self.folder, "lease_wait_seconds": 20}
        return BrowserSettings(**values | changes)

    def processes(self) -> list[int]:
        """Ids of the browsers' main processes; Debian starts each from a shell that stays."""
        ours = {
            process: parent
            for process, parent, command in _process_table()
            if b"--user-data-dir=" + bytes(self.folder) in command
        }
        shells = set(ours.values())
        return [process for process in ours if process not in shells]

    def renderers(self) -> set[int]:
        """Ids of the processes that show pages."""
        family = set(self.processes())
        found = set()
        for process, parent, command in sorted(_process_table()):
            if parent in family:
                family.add(process)
                if b"--type=renderer" in command:
                    found.add(process)
        return found

    def is_confined(self) -> bool:
        """Whether there are renderers and all of them are under a system call filter."""
        renderers = [Path(f"/proc/{process}/status").read_text() for process in self.renderers()]
        return bool(renderers) and all("Seccomp:\t2" in status for status in renderers)


def _process_table() -> Iterator[tuple[int, int, bytes]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            yield int(entry.name), parent, command


def driver_process() -> int:
    """Id of the program through which this process speaks to its browser."""
    (found,) = [
        process
        for process, parent, command in _process_table()
        if parent == os.getpid() and b"playwright" in command and b"run-driver" in command
    ]
    return found


@pytest.fixture(scope="session")
def chromium(authority: Authority) -> Iterator[Chromium]:
    with chromium_for_tests(authority) as found:
        yield found


@contextmanager
def chromium_for_tests(
    authority: Authority, *names: str, default: tuple[str, ...] = ("chromium-headless-shell", "chromium")
) -> Iterator[Chromium]:
    """Provide a browser that trusts the test authority: the first of the programs named that is there."""
    program = next((path for name in names or default if (path := shutil.which(name))), None)
    assert program and shutil.which("certutil"), (
        "Chromium's tests need the Debian packages chromium-headless-shell and libnss3-tools"
    )
    as_root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp(prefix="composer-test-"))
    folder.chmod(0o711)
    home = folder / "home"
    database = home / ".local/share/pki/nssdb"
    database.mkdir(parents=True)
    certificates = f"sql:{database}"
    shutil.copy(authority.certificate, folder / "authority.crt")
    for arguments in (
        ["-N", "--empty-password"],
        ["-A", "-t", "C,,", "-n", "test", "-i", str(folder / "authority.crt"), "-f", "/dev/null"],
    ):
        subprocess.run(
            ["certutil", "-d", certificates, *arguments], stdin=subprocess.DEVNULL, check=True, timeout=20
        )
    if as_root:
        subprocess.run(["chown", "-R", "nobody:", str(home)], check=True, timeout=20)
    wrapper = folder / "chromium"
    text = AS_NOBODY if as_root else AS_OURSELVES
    wrapper.write_text(text.replace("@HOME@", str(home)).replace("@CHROMIUM@", program))
    wrapper.chmod(0o755)
    yield Chromium(wrapper, folder)
    shutil.rmtree(folder)


@pytest.fixture
def site(authority: Authority) -> Iterator[Site]:
    running = Site(authority)
    yield running
    running.stop()


class Story(list[str]):
    """Progress messages, in order."""

    async def __call__(self, fraction: float, message: str) -> None:
        assert 0 <= fraction <= 1
        self.append(message)


class Fence:
    """A fence that counts, and can be closed."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    async def __call__(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


class Bench:
    """A worker's surroundings without a queue: real API client, browser pool, register and artifacts."""

    def __init__(
        self, standin: Standin, chromium: Chromium, folder: Path, compositions: CompositionRegistry
    ) -> None:
        self._standin, self._chromium, self._folder = standin, chromium, folder
        self.compositions = compositions
        self.fence, self.story = Fence(), Story()

    @asynccontextmanager
    async def work(
        self, *, token: str | None = None, browser: dict[str, Any] | None = None, **composer: Any
    ) -> AsyncIterator[Work]:
        """Open everything and describe the first attempt at a job."""
        settings = self._standin.settings(**composer)
        pool = BrowserPool(self._chromium.settings(**browser or {}), editor.hosts(settings))
        async with self._standin.api(token, **composer) as api, pool as browsers:
            yield self.without_browser(api, browsers)

    def without_browser(self, api: ComposerApi, browsers: Any = None) -> Work:
        from obstore.store import LocalStore

        return Work(
            job_id=uuid4(),
            owner=uuid4(),
            tenant="school",
            idempotency_key=uuid4().hex,
            attempt=1,
            first_started_at=datetime.now(UTC),
            progress=self.story,
            fence=self.fence,
            composer=api,
            browsers=browsers,
            artifacts=ArtifactStore(LocalStore(str(self._folder), mkdir=True)),
            compositions=self.compositions,
        )


@pytest.fixture
async def bench(standin: Standin, chromium: Chromium, tmp_path: Path) -> AsyncIterator[Bench]:
    async with Sqlite.open(tmp_path / "state.db") as database:
        yield Bench(standin, chromium, tmp_path / "artifacts", SqliteCompositions(database))


def next_attempt(work: Work) -> Work:
    """The same job, taken over by another worker."""
    return replace(work, attempt=work.attempt + 1)
