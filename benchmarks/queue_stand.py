"""What the bench of the queue stands on: an engine in this process, workers, the file of starts."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.installation import Installation
from benchmarks.processes import Child
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.store import database

CONCURRENCY = 10


@dataclass(frozen=True, slots=True)
class Worked:
    """The file into which workers write each start of a job with a label."""

    file: Path

    @classmethod
    async def prepare(cls, installation: Installation) -> Worked:
        """Configure the installation for the bench."""
        installation.sections = {
            "queue": {"per_tenant_limit": 5000, "total_limit": 200_000},
            "worker": {"concurrency": CONCURRENCY},
        }
        installation.configure()
        return cls(installation.folder / "starts")

    def started(self, label: str) -> list[tuple[int, float]]:
        """Process and moment (monotonic) of each start of the jobs with this label."""
        if not self.file.exists():
            return []
        lines = (line.split() for line in self.file.read_text(encoding="ascii").splitlines())
        return [(int(process), float(moment)) for name, process, moment in lines if name == label]

    async def begun(self, label: str, times: int, seconds: float) -> list[tuple[int, float]]:
        """Wait until jobs with this label have started so many times.

        Raises:
            TimeoutError: they have not.
        """
        async with asyncio.timeout(seconds):
            while True:
                found = self.started(label)
                if len(found) >= times:
                    return found
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def engine_of(installation: Installation) -> AsyncIterator[PostgresJobEngine]:
    """Open the engine as a web process does."""
    platform = installation.platform
    password = platform.secrets.read("database-password")
    options = database.connection_options(platform.settings.postgresql, password, application="bench")
    async with PostgresJobEngine.open(platform.settings, options) as engine:
        yield engine


async def start_worker(installation: Installation, starts: Path) -> Child:
    """Start one more worker and wait until it works."""
    arguments = [str(installation.platform.config), str(installation.platform.credentials)]
    command = [sys.executable, "-m", "benchmarks.our_worker", *arguments]
    worker = installation.start(command, f"queue-worker-{time.monotonic_ns()}", STARTS=str(starts))
    await worker.says("worker.ready")
    return worker
