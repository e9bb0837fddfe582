"""Tells waiting calls that their job has moved on: one listening connection per process.

A notification only says *which* job changed; the state is read from the ``job`` table, for all waiting
calls in one statement. Notifications are lost while the database fails over, so everything waited for is
also read once a second and after each reconnection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from composer_mcp.jobs.engine import JobState
from composer_mcp.store.database import UNREACHABLE

#: Also written in the statements of ``attempt``.
CHANNEL = "composer_job"
POLL_SECONDS = 1.0
RECONNECT_SECONDS = (0.2, 0.5, 1.0, 2.0)

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Watch:
    """What one waiting call knows of its job."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    state: JobState = JobState.QUEUED
    progress: float = 0.0
    message: str = ""

    def update(self, state: JobState, progress: float, message: str) -> None:
        """Take over what was read; wake the call if it differs."""
        if (state, progress, message) != (self.state, self.progress, self.message):
            self.state, self.progress, self.message = state, progress, message
            self.changed.set()


class WaiterHub:
    """Reads the state of all jobs that calls of this process wait for."""

    def __init__(self, pool: asyncpg.Pool, options: dict[str, Any]) -> None:
        self._pool = pool
        self._options = options
        self._watches: dict[UUID, set[Watch]] = {}
        self._dirty: set[UUID] = set()
        self._wake = asyncio.Event()

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Listen and read until the context is left."""
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._read())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.contextmanager
    def watch(self, job_id: UUID) -> Iterator[Watch]:
        """Observe one job; its present state is read at once."""
        watch = Watch()
        self._watches.setdefault(job_id, set()).add(watch)
        self._mark(job_id)
        try:
            yield watch
        finally:
            watches = self._watches[job_id]
            watches.discard(watch)
            if not watches:
                del self._watches[job_id]

    def _mark(self, job_id: UUID) -> None:
        self._dirty.add(job_id)
        self._wake.set()

    def _notified(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        job_id = UUID(str(payload))
        if job_id in self._watches:
            self._mark(job_id)

    async def _listen(self) -> None:
        failures = 0
        while True:
            lost = asyncio.Event()
            try:
                connection = await asyncpg.connect(**self._options)
                try:
                    connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
                    await connection.add_listener(CHANNEL, self._notified)
                    failures = 0
                    self._dirty.update(self._watches)
                    self._wake.set()
                    await lost.wait()
                finally:
                    connection.terminate()
            except UNREACHABLE as error:
                log.warning("hub.listen_failed", error=repr(error), failures=failures)
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1

    async def _read(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
                wanted = self._dirty & self._watches.keys()
            except TimeoutError:
                wanted = set(self._watches)
            self._wake.clear()
            self._dirty.clear()
            if not wanted:
                continue
            try:
                rows = await self._pool.fetch(
                    "select id, state, progress, progress_message from job where id = any($1::uuid[])",
                    list(wanted),
                )
            except UNREACHABLE as error:
                # The next poll reads again; the calls go on waiting up to their own limit.
                log.warning("hub.read_failed", error=repr(error), waiting=len(self._watches))
                continue
            for row in rows:
                for watch in self._watches.get(row["id"], ()):
                    watch.update(JobState(row["state"]), row["progress"], row["progress_message"])
