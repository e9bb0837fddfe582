"""The services of the tasks bench: each a web process, worker processes and a store of its own."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.installation import Installation, installed
from benchmarks.measure import Report
from benchmarks.peers_at_hand import ROOT, PeerMissing, python_of, redis_at_hand, version_of
from benchmarks.processes import Child, cpu_seconds, descendants, free_port
from benchmarks.protocol import gunicorn
from benchmarks.starts import Starts
from benchmarks.taskwire import Service

OURS, PEER = "composer-mcp", "fastmcp-tasks"
CONCURRENCY = 10


@dataclass(slots=True)
class Stand:
    """A service that stands, with the means to start and kill its workers, and the file of starts."""

    service: Service
    other_tenant: Service
    start_worker: Callable[[], Child]
    worker_ready: str
    starts: Starts
    clear: Callable[[], None]
    processes: Mapping[str, Callable[[], list[int]]]
    workers: list[Child] = field(default_factory=list)

    async def add_worker(self) -> Child:
        """Start one more worker and wait until it works."""
        worker = self.start_worker()
        await worker.says(self.worker_ready)
        self.workers.append(worker)
        return worker

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time used so far by the web process, the workers and the store."""
        used = {name: cpu_seconds(processes()) for name, processes in self.processes.items()}
        workers = [process for worker in self.workers for process in worker.family()]
        return used | {"worker": cpu_seconds(workers)}


async def ours(installation: Installation) -> Stand:
    """Our web process and one worker."""
    starts = installation.folder / "starts-ours"
    installation.sections = {
        "queue": {"per_tenant_limit": 5000, "total_limit": 10000},
        "worker": {"concurrency": CONCURRENCY},
    }
    web, port = await installation.serve("tasks-web")
    pid = installation.platform.sql("select split_part(pg_read_file('postmaster.pid'), e'\\n', 1)")
    arguments = [str(installation.platform.config), str(installation.platform.credentials)]
    command = [sys.executable, "-m", "benchmarks.our_worker", *arguments]

    def service(tenant: str) -> Service:
        return Service(
            OURS,
            port,
            {"Authorization": f"Bearer {installation.token(tenant)}"},
            "get_composition",
            lambda label, milliseconds: {"uid": f"bench-{label}-{milliseconds:04d}"},
        )

    def start_worker() -> Child:
        return installation.start(command, f"tasks-worker-{time.monotonic_ns()}", STARTS=str(starts))

    def clear() -> None:
        installation.platform.sql("truncate job, tenant_tag, pgqueuer cascade")

    processes = {"web": web.family, "store": lambda: descendants(int(pid))}
    stand = Stand(
        service("school"), service("other"), start_worker, "worker.ready", Starts(starts), clear, processes
    )
    await stand.add_worker()
    return stand


async def theirs(installation: Installation, report: Report, say: Callable[[str], None]) -> Stand:
    """The peer's web process and one worker, on a Redis of their own.

    Raises:
        PeerMissing: it cannot be installed.
    """
    python = python_of("fastmcp", say)
    redis, environment = redis_at_hand(say)
    redis_port, port = free_port(), free_port()
    options = [
        "--port",
        str(redis_port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(installation.folder),
    ]
    database = installation.start([str(redis), *options], "redis", None, **environment)
    await database.listens(redis_port)
    report.versions |= {name: version_of(python, name) for name in ("fastmcp-tasks", "pydocket")}
    report.versions["redis"] = _redis_version(database)
    starts = installation.folder / "starts-theirs"
    variables = {
        "REDIS": f"redis://127.0.0.1:{redis_port}/0",
        "STARTS": str(starts),
        "PYTHONPATH": str(ROOT),
        "FASTMCP_CHECK_FOR_UPDATES": "off",
    }
    module = "benchmarks.peers.fastmcp_tasks_server"
    web = installation.start(gunicorn(python, module, port), "tasks-peer-web", None, **variables)
    await web.listens(port)
    source = str(ROOT / "benchmarks/peers/fastmcp_tasks_server.py") + ":server"
    command = [str(python), "-m", "fastmcp_tasks.worker_cli", "worker", source]

    def start_worker() -> Child:
        return installation.start(command, f"tasks-peer-worker-{time.monotonic_ns()}", None, **variables)

    def clear() -> None:
        """Nothing: what is left over is worked off."""

    service = Service(
        PEER, port, {}, "bench", lambda label, milliseconds: {"label": label, "milliseconds": milliseconds}
    )
    processes = {"web": web.family, "store": database.family}
    stand = Stand(service, service, start_worker, "Starting worker", Starts(starts), clear, processes)
    await stand.add_worker()
    return stand


def _redis_version(database: Child) -> str:
    words = database.tail().split("version=", 1)
    return words[1].split(",")[0].strip() if len(words) == 2 else "unknown"


@contextlib.asynccontextmanager
async def both(report: Report, say: Callable[[str], None]) -> AsyncIterator[dict[str, Stand]]:
    """Both services, or ours alone when the peer cannot be had."""
    with installed() as installation:
        stands = {OURS: await ours(installation)}
        for name in ("fsync", "synchronous_commit"):
            report.versions[name] = installation.platform.sql(f"show {name}")
        try:
            stands[PEER] = await theirs(installation, report, say)
        except PeerMissing as missing:
            report.remarks.append(str(missing))
        yield stands
