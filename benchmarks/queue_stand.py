"""What the bench of the queue stands on: an engine in this process, workers, the file of starts."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import AsyncIterator

from benchmarks.installation import Installation
from benchmarks.processes import Child
from benchmarks.starts import Starts
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.store import database

CONCURRENCY = 10


def configure(installation: Installation) -> Starts:
    """Configure the installation for the bench; return where its workers write what they begin."""
    installation.sections = {
        "queue": {"per_tenant_limit": 5000, "total_limit": 200_000},
        "worker": {"concurrency": CONCURRENCY},
    }
    installation.configure()
    return Starts(installation.folder / "starts")


@contextlib.asynccontextmanager
async def engine_of(installation: Installation) -> AsyncIterator[PostgresJobEngine]:
    """Open the engine as a web process does."""
    platform = installation.platform
    password = platform.secrets.read("database-password")
    options = database.connection_options(platform.settings.postgresql, password, application="bench")
    async with PostgresJobEngine.open(platform.settings, options) as engine:
        yield engine


async def start_worker(installation: Installation, starts: Starts) -> Child:
    """Start one more worker and wait until it works."""
    arguments = [str(installation.platform.config), str(installation.platform.credentials)]
    command = [sys.executable, "-m", "benchmarks.our_worker", *arguments]
    worker = installation.start(command, f"queue-worker-{time.monotonic_ns()}", STARTS=str(starts.file))
    await worker.says("worker.ready")
    return worker
