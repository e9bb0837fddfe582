"""Everything real at once, on this machine: two web processes behind HAProxy, two workers, all they stand on.

What ends is started again after a second, as systemd does on a host.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from tests.integration.composer_fixtures import (
    CONNECTOR_UID,
    PROJECT_UID,
    Chromium,
    Standin,
    chromium_for_tests,
)
from tests.integration.support.authority import Authority
from tests.integration.support.clock import Clock
from tests.integration.support.installation import PUBLIC_URL, Platform
from tests.integration.support.issuer import Issuer
from tests.integration.support.postgres import Postgres
from tests.integration.support.processes import Process, free_port
from tests.integration.support.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, Seaweed
from tests.integration.support.small_disk import SmallDisk, disk_for_tables

RESTART_SECONDS = 1.0
START_SECONDS = 60.0
QUEUE_LIMIT = 40
JOB_SECONDS = 60.0
DISK_MEGABYTES = 200
#: How long a page may take to become ready before it is given up.
EDITOR_SECONDS = 15
WEBS, WORKERS = ("web1", "web2"), ("worker1", "worker2")
#: The lines of the edge's configuration that decide what a caller sees of a web process that ends.
EDGE = """\
global
    maxconn 4000
defaults
    mode http
    timeout connect 2s
    timeout client 300s
    timeout server 300s
    timeout queue 10s
    timeout check 2s
frontend edge
    bind 127.0.0.1:{port}
    default_backend web
backend web
    balance leastconn
    retries 3
    retry-on conn-failure
    option redispatch 1
    option httpchk GET /health/ready
    option http-server-close
    http-reuse never
    default-server check inter 1s fastinter 300ms fall 3 rise 2
    server web1 127.0.0.1:{web1}
    server web2 127.0.0.1:{web2}
"""


class Stage:
    """The installation and its processes, by name."""

    def __init__(
        self,
        folder: Path,
        platform: Platform,
        standin: Standin,
        chromium: Chromium,
        seaweed: Seaweed,
        disk: SmallDisk,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.platform = folder, platform
        self.standin, self.chromium, self.seaweed = standin, chromium, seaweed
        #: Where the database's tables lie.
        self.disk = disk
        self.issuer, self.postgres = platform.issuer, platform.postgres
        self.say = say
        #: What the title of every composition of this run begins with.
        self.mark = f"chaos-{secrets.token_hex(4)}"
        self.processes: dict[str, Process] = {}
        self.restarts = 0
        self._ports = {name: free_port() for name in WEBS}
        self._keeper: asyncio.Task[None] | None = None
        #: The wall clock of worker2.
        self.clock = Clock(folder / "clock")

    def command(self, name: str) -> tuple[list[str], str]:
        """The command of one process, and what it says once it works."""
        if name == "edge":
            file = self.folder / "haproxy.cfg"
            file.write_text(EDGE.format(port=self.platform.port, **self._ports))
            return ["haproxy", "-db", "-f", str(file)], ""
        if name in WORKERS:
            return self.platform.command("worker"), "worker.ready"
        bind = f"127.0.0.1:{self._ports[name]}"
        return self.platform.command("serve", "--plain-text", "--bind", bind), "ASGI server listening"

    async def start(self, name: str) -> None:
        """Start a process and wait until it works.

        Raises:
            AssertionError: it ended, or did not get ready within a minute.
        """
        command, ready = self.command(name)
        process = await asyncio.to_thread(Process, command, environment=self._environment(name))
        self.processes[name] = process
        if ready:
            await asyncio.to_thread(process.wait_for, ready, START_SECONDS)

    def _environment(self, name: str) -> dict[str, str]:
        """Let one worker have a wall clock that can be set; gunicorn's sleeps do not bear the library."""
        if name != "worker2":
            return {}
        return self.clock.environment

    async def open(self) -> None:
        """Start all processes, and keep them running from then on."""
        for name in (*WEBS, *WORKERS, "edge"):
            self.say(f"starting {name}")
            await self.start(name)
        self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for name, process in list(self.processes.items()):
                if process.has_ended:
                    self.restarts += 1
                    await asyncio.sleep(RESTART_SECONDS)
                    # What it stands on may still be away: then it ends again, and is started again.
                    with contextlib.suppress(AssertionError):
                        await self.start(name)

    async def close(self) -> None:
        """End all processes."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(process.stop) for process in self.processes.values()))

    def family(self, name: str) -> list[int]:
        """The ids of a process and all its descendants, parents first."""
        return [self.processes[name].pid, *descendants(self.processes[name].pid)]

    def kill(self, name: str) -> None:
        """End a process, and the processes that make it up, without asking; its browser is left to itself."""
        for process in self.family(name):
            if b"chrom" not in command_of(process) and b"node" not in command_of(process):
                self.signal_one(process, signal.SIGKILL)

    def signal_all(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process and all its descendants."""
        for process in self.family(name):
            self.signal_one(process, number)

    def signal_one(self, process: int, number: signal.Signals) -> None:
        """Send a signal to one process, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)

    def browsers(self, *, kind: bytes = b"") -> list[int]:
        """The browsers' main processes, or all their processes of a kind, such as ``renderer``."""
        if not kind:
            return self.chromium.processes()
        found = (each for main in self.chromium.processes() for each in descendants(main))
        return [each for each in found if b"--type=" + kind in command_of(each)]

    def compositions(self, mark: str) -> dict[str, int]:
        """How many compositions the third party holds of each title that begins with ``mark``."""
        counts: dict[str, int] = {}
        for title in self.standin.titles():
            if title.startswith(mark):
                counts[title] = counts.get(title, 0) + 1
        return counts


def command_of(process: int) -> bytes:
    """The command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def descendants(process: int) -> list[int]:
    """The ids of all processes below one, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    level = [process]
    while level:
        level = [child for parent in level for child in children.get(parent, [])]
        found += level
    return found


@contextlib.contextmanager
def _parts(folder: Path) -> Iterator[tuple[Platform, Standin, Chromium, Seaweed, SmallDisk]]:
    """What the processes stand on."""
    with contextlib.ExitStack() as stack:
        for name in ("authority", "standin", "server"):
            (folder / name).mkdir()
        authority = Authority(folder / "authority")
        disk = stack.enter_context(disk_for_tables(DISK_MEGABYTES))
        postgres = Postgres(authority, disk.path / "data")
        stack.callback(postgres.remove)
        issuer = Issuer(authority, PUBLIC_URL)
        stack.callback(issuer.close)
        seaweed = Seaweed(authority)
        stack.callback(seaweed.close)
        standin = Standin(folder / "standin", authority)
        stack.callback(standin.stop)
        standin.calm()
        chromium = stack.enter_context(chromium_for_tests(authority))
        postgres.create_database("chaos")
        platform = Platform(folder / "server", postgres, issuer, authority, "chaos")
        yield platform, standin, chromium, seaweed, disk


def _configure(platform: Platform, standin: Standin, chromium: Chromium, seaweed: Seaweed) -> None:
    for name, value in {
        "object-store-access-key": ACCESS_KEY,
        "object-store-secret-key": SECRET_KEY,
        "composer-token": standin.token,
        "composer-project-key": standin.project_key,
    }.items():
        (platform.credentials / name).write_text(value)
    sections: dict[str, dict[str, Any]] = {
        "web": {"workers": 1, "graceful_seconds": 5, "wait_seconds": JOB_SECONDS * 2},
        "queue": {"per_tenant_limit": QUEUE_LIMIT, "total_limit": QUEUE_LIMIT * 2, "deadline_seconds": 120},
        "worker": {"concurrency": 3, "job_timeout_seconds": JOB_SECONDS, "attempt_limit": 5},
        "object_store": {
            "url": f"s3://{BUCKET}",
            "endpoint": seaweed.endpoint,
            "authority": platform.authority.certificate,
        },
        "composer": {
            "app_url": standin.app_url,
            "api_url": standin.api_url,
            "media_url": f"{standin.app_url}/rdpcomposer/media",
            "project_uid": PROJECT_UID,
            "connector_uid": CONNECTOR_UID,
            "authority": standin.authority,
            "settle_seconds": 0.3,
            "editor_timeout_seconds": EDITOR_SECONDS,
        },
        "browser": {
            "executable": chromium.executable,
            "temporary_directory": chromium.folder,
            "concurrency": 3,
        },
    }
    platform.configure(**sections)


@contextlib.asynccontextmanager
async def staged(say: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Provide the whole installation, running.

    Raises:
        AssertionError: a part is not installed or did not start; the message says which.
    """
    with tempfile.TemporaryDirectory(prefix="composer-chaos-") as name:
        folder = Path(name)
        say("starting PostgreSQL, the object store, the issuer and the stand-in")
        with _parts(folder) as (platform, standin, chromium, seaweed, disk):
            _configure(platform, standin, chromium, seaweed)
            stage = Stage(folder, platform, standin, chromium, seaweed, disk, say)
            try:
                await stage.open()
                await _answers(platform.port)
                yield stage
            finally:
                await stage.close()


async def _answers(port: int) -> None:
    """Wait until the edge has found a web process."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /health/live HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
                if b" 200 " in answer.split(b"\r\n", 1)[0]:
                    return
            await asyncio.sleep(0.2)
