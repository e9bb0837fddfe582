"""Tells those who wait that their job has moved on; one reader per process, however many wait.

An announcement only says *which* job changed; the job is read from its table, for all who wait in one
statement. Announcements are lost while the database fails over, so everything waited for is also read once
a second and after each reconnection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from typing import TypeVar
from uuid import UUID

import structlog

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.engine import JobRecord

POLL_SECONDS = 1.0
#: How many jobs are remembered that were made here or announced, to save a look at them.
RECENT_LIMIT = 4096
ENDED_LIMIT = 1000

T = TypeVar("T")
#: Reads the present records of some jobs; those that do not exist are left out.
Read = Callable[[Collection[UUID]], Awaitable[list[JobRecord]]]

log = structlog.get_logger(__name__)


class Watch:
    """What one waiting call has not yet heard of its jobs: of each only the newest, so it cannot grow."""

    def __init__(self, job_ids: Collection[UUID]) -> None:
        self._waiting = set(job_ids)
        self._news: dict[UUID, JobRecord] = {}
        self._known: dict[UUID, tuple[object, ...]] = {}
        self._settled: set[UUID] = set()
        self._changed = asyncio.Event()

    def tell(self, job_id: UUID, record: JobRecord | None) -> None:
        """Take over what was read of a job; ``None`` means that there is none."""
        if record is None:
            self._waiting.discard(job_id)
            self._changed.set()
            return
        essence = (
            record.state,
            record.progress,
            record.progress_message,
            record.input_requests,
            record.finished_at,
        )
        if self._known.get(job_id) != essence:
            self._known[job_id] = essence
            self._news[job_id] = record
            self._changed.set()
            if record.state.finished:
                self._settled.add(job_id)

    def settled(self, job_id: UUID) -> bool:
        """Return whether the end of a job is known here."""
        return job_id in self._settled

    def drop(self, job_id: UUID) -> None:
        """Stop waiting for a job."""
        self._waiting.discard(job_id)
        self._news.pop(job_id, None)

    async def news(self) -> AsyncIterator[JobRecord]:
        """Yield each job that has changed; end when there is nothing left to wait for."""
        while True:
            while self._news:
                job_id, record = self._news.popitem()
                if record.state.finished:
                    self._waiting.discard(job_id)
                yield record
            if not self._waiting:
                return
            await self._changed.wait()
            self._changed.clear()


class WaiterHub:
    """Reads all jobs that somebody in this process waits for, whenever one of them may have changed."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._watches: dict[UUID, set[Watch]] = {}
        self._dirty: set[UUID] = set()
        self._wake = asyncio.Event()
        #: Jobs that this process made and of which nothing was announced since.
        self._expected: dict[UUID, bool] = {}
        self._heard: dict[UUID, None] = {}
        self._ended: dict[UUID, str] = {}

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Read until the context is left."""
        task = asyncio.create_task(self._serve())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @contextlib.contextmanager
    def watch(self, job_ids: Collection[UUID]) -> Iterator[Watch]:
        """Observe some jobs; how they are now is read at once, unless they were made here just now."""
        watch = Watch(job_ids)
        for job_id in job_ids:
            self._watches.setdefault(job_id, set()).add(watch)
            if not self._expected.pop(job_id, False):
                self._dirty.add(job_id)
                self._wake.set()
        try:
            yield watch
        finally:
            for job_id in job_ids:
                watches = self._watches.get(job_id, set())
                watches.discard(watch)
                if not watches:
                    self._watches.pop(job_id, None)

    def expect(self, job_id: UUID) -> None:
        """Take note that a job was made just now; until it is announced there is nothing to read."""
        if job_id not in self._heard:
            _remember(self._expected, job_id, True)

    def heard(self, job_id: UUID) -> None:
        """Take note that a job has changed."""
        _remember(self._heard, job_id, None)
        self._expected.pop(job_id, None)
        if any(not watch.settled(job_id) for watch in self._watches.get(job_id, ())):
            self._dirty.add(job_id)
            self._wake.set()

    def ended(self, job_id: UUID, record: str) -> None:
        """Keep the record of an ended job for a while, as it was announced: it does not change any more."""
        _remember(self._ended, job_id, record, ENDED_LIMIT)

    def end_of(self, job_id: UUID) -> str | None:
        """Return what was kept by :meth:`ended`."""
        return self._ended.get(job_id)

    def forget(self) -> None:
        """Keep no record: some may have been deleted."""
        self._ended.clear()

    def wanted(self, job_id: UUID) -> bool:
        """Return whether somebody waits for a job."""
        return job_id in self._watches

    def tell(self, record: JobRecord) -> None:
        """Pass on how a job is now."""
        for watch in self._watches.get(record.id, set()).copy():
            watch.tell(record.id, record)

    def look(self) -> None:
        """Read everything that is waited for, because announcements may have been missed."""
        self._dirty.update(self._watches)
        self._wake.set()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        everything_at = loop.time() + POLL_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(everything_at):
                    await self._wake.wait()
            if loop.time() >= everything_at:
                self.look()
                everything_at = loop.time() + POLL_SECONDS
            self._wake.clear()
            wanted = self._dirty & self._watches.keys()
            self._dirty.clear()
            if wanted:
                await self._tell(wanted)

    async def _tell(self, wanted: set[UUID]) -> None:
        try:
            records = {record.id: record for record in await self._read(wanted)}
        except ComposerError as error:
            # The next look reads again; the calls go on waiting up to their own limit.
            log.warning("hub.read_failed", error=repr(error), waiting=len(self._watches))
            return
        except Exception:
            # Such as a database without memory or with a full disk: it passes, and who waits for anything in
            # this process depends on this one reader.
            log.exception("hub.read_failed", waiting=len(self._watches))
            await asyncio.sleep(POLL_SECONDS)
            return
        for job_id in wanted:
            for watch in self._watches.get(job_id, set()).copy():
                watch.tell(job_id, records.get(job_id))


def _remember(recent: dict[UUID, T], job_id: UUID, value: T, limit: int = RECENT_LIMIT) -> None:
    recent[job_id] = value
    if len(recent) > limit:
        del recent[next(iter(recent))]
