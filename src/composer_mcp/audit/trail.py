"""Writes the trail: gathers what is recorded, makes the links, and appends a batch in one commit.

An entry that :meth:`Trail.record` was given is on disk when it returns; one for which :meth:`Trail.note` was
called is so within a second. Both wait in memory, in their order, until they are written. While the database
is away they go on waiting, up to a bound; then no call is let in any more (:meth:`Trail.admit`), because what
cannot be recorded is not done. Nothing is dropped silently: what is left when the process must end goes to
its log, and of an entry that cannot be kept as it is the trail says who did what and when. Only ``kill -9``
or a power cut takes what was noted within the last second.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import structlog

from composer_mcp.audit import reading
from composer_mcp.audit.chain import Checkpoint, Key, Keys, Mark, genuine, link, sealed
from composer_mcp.audit.entry import Entry, line, reduced, told
from composer_mcp.audit.store import AuditStore, Batch, Filter, Row, Trouble
from composer_mcp.audit.verify import Verdict
from composer_mcp.errors import (
    AUDIT_BROKEN,
    AUDIT_UNAVAILABLE,
    AUDIT_VERIFYING,
    INVALID_REQUEST,
    STORE_UNAVAILABLE,
    ComposerError,
)
from composer_mcp.observability import metrics

#: Entries that may wait in a process; with their texts some 15 MiB at the very most.
WAITING_LIMIT = 5000
#: Entries in one commit. Making their links takes a millisecond, for which nobody else is served.
BATCH = 100
#: How long an entry that nobody waits for may wait for others.
GATHER_SECONDS = 0.5
#: How long whoever waits for an entry waits while the database is away.
PATIENCE_SECONDS = 8.0
PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
#: Longest pause after somebody else has appended first.
JITTER_SECONDS = 0.005
CLOSE_SECONDS = 5.0
#: How often a process that records says in its log where the chain stands.
CHECKPOINT_SECONDS = 600.0

log = structlog.get_logger(__name__)

T = TypeVar("T")


class AuditTrail(Protocol):
    """What the parts of the server are given to record with."""

    @property
    def problem(self) -> str | None:
        """Why no call can be done, if that does not pass by itself."""

    def admit(self) -> None:
        """Let a call begin.

        Raises:
            audit_unavailable: too much waits to be recorded already.
            audit_broken: the trail cannot be continued.
        """

    def note(self, entry: Entry, *, soon: bool = False) -> None:
        """Have an entry recorded within a second, or ``soon``: with the next commit."""

    async def record(self, entry: Entry) -> None:
        """Record an entry; it is durable when this returns.

        Raises:
            store_unavailable: it is not yet, because the database is away; it will be.
        """

    async def entries(self, which: Filter, limit: int) -> Sequence[Row]:
        """Return the newest of the entries that are asked for, newest first.

        Raises:
            store_unavailable.
        """

    async def entry(self, number: int) -> Row:
        """Return one entry.

        Raises:
            audit_entry_unknown, store_unavailable.
        """

    async def checkpoint(self) -> Checkpoint:
        """Return where the chain stands.

        Raises:
            audit_broken: the head was not sealed by this server.
            store_unavailable.
        """

    async def verify(self, after: Checkpoint | None, limit: int) -> Verdict:
        """Verify the next entries of the chain, at most ``limit`` and for some two seconds.

        From the beginning, or ``after`` the checkpoint of an earlier verdict; one at a time in a process.

        Raises:
            audit_verifying: another one is under way.
            audit_entry_unknown: the entry of the checkpoint was archived.
            store_unavailable.
        """


class _Waiting(NamedTuple):
    entry: Entry
    done: asyncio.Future[None] | None
    #: Whether this stands for an entry that could not be kept.
    reduced: bool = False


class Trail:
    """Records into one store; see :class:`AuditTrail` for the promises."""

    def __init__(self, store: AuditStore, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._waiting: list[_Waiting] = []
        self._some = asyncio.Event()
        self._now = asyncio.Event()
        self._head: Mark | None = None
        self._broken = False
        #: Of the batch that is being written: how many, and where it may stand already.
        self._size = 0
        #: Entries in the next one: fewer while one is looked for that cannot be kept.
        self._most = BATCH
        self._doubtful: set[tuple[int, bytes]] = set()
        self._told = -CHECKPOINT_SECONDS
        self._verifying = asyncio.Lock()

    @property
    def problem(self) -> str | None:
        """Why no call can be done, if that does not pass by itself."""
        return f"audit: {AUDIT_BROKEN.error().sentence}" if self._broken else None

    def admit(self) -> None:
        """See :class:`AuditTrail`."""
        if len(self._waiting) < WAITING_LIMIT and not self._broken:
            return
        metrics.AUDIT_REFUSED.inc()
        if self._broken:
            raise AUDIT_BROKEN.error()
        raise AUDIT_UNAVAILABLE.error(waiting=len(self._waiting))

    def note(self, entry: Entry, *, soon: bool = False) -> None:
        """See :class:`AuditTrail`."""
        self._add(_Waiting(entry, None))
        if soon:
            self._now.set()

    async def record(self, entry: Entry) -> None:
        """See :class:`AuditTrail`."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add(_Waiting(entry, done))
        self._now.set()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await done
        except TimeoutError as error:
            raise STORE_UNAVAILABLE.error(
                store="database",
                state="What was asked for may have been done; it could not be put into the audit trail yet.",
            ) from error

    async def entries(self, which: Filter, limit: int) -> Sequence[Row]:
        """See :class:`AuditTrail`."""
        return await self._asked(self._store.find(which, limit))

    async def entry(self, number: int) -> Row:
        """See :class:`AuditTrail`."""
        return await self._asked(reading.one(self._store, number))

    async def checkpoint(self) -> Checkpoint:
        """See :class:`AuditTrail`."""
        return await self._asked(reading.present(self._store, self._keys))

    async def verify(self, after: Checkpoint | None, limit: int) -> Verdict:
        """See :class:`AuditTrail`."""
        if self._verifying.locked():
            raise AUDIT_VERIFYING.error(retry_after=math.ceil(reading.STRETCH_SECONDS))
        async with self._verifying:
            verdict = await self._asked(reading.stretch(self._store, self._keys, after, limit))
        for problem in verdict.problems:
            log.error("audit.fault", number=problem.number, what=problem.what)
        return verdict

    async def _asked(self, question: Awaitable[T]) -> T:
        try:
            return await question
        except Exception as error:
            trouble = self._store.trouble(error)
            if trouble is Trouble.REFUSED:
                raise INVALID_REQUEST.error(count=1) from error
            away = trouble is Trouble.AWAY or isinstance(error, TimeoutError)
            if away and not isinstance(error, ComposerError):
                raise STORE_UNAVAILABLE.error(store="database", state="Nothing was changed.") from error
            raise

    def _add(self, item: _Waiting) -> None:
        self._waiting.append(item)
        self._some.set()
        if len(self._waiting) >= BATCH:
            self._now.set()

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Write what is recorded until the context is left, and then what still waits."""
        writing = asyncio.create_task(self._write())
        try:
            yield
        finally:
            await self._finish()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            self._spill()

    async def _finish(self) -> None:
        give_up = time.monotonic() + CLOSE_SECONDS
        while self._waiting and time.monotonic() < give_up:
            self._now.set()
            await asyncio.sleep(0.01)

    def _spill(self) -> None:
        """Tell the log what cannot be recorded any more."""
        for text in self._lines(len(self._waiting)):
            log.error("audit.unwritten", entry=text)
        metrics.AUDIT_LOST.inc(len(self._waiting))
        self._waiting.clear()

    async def _write(self) -> None:
        failures = 0
        while True:
            await self._some.wait()
            if not failures:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GATHER_SECONDS):
                        await self._now.wait()
            self._now.clear()
            try:
                await self._write_some()
            except Exception as error:
                if self._isolated(error):
                    continue
                self._fail(error)
                await asyncio.sleep(PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)])
                failures += 1
            else:
                failures = 0

    def _isolated(self, error: Exception) -> bool:
        """Whether an error is about one entry of the batch; if so, it is found or is nearer to being found.

        None of the batch was written. Smaller ones follow at once, until the entry stands alone in one.
        """
        if self._store.trouble(error) is not Trouble.REFUSED:
            return False
        if self._size == 1 and not self._reduce(0, error):
            return False
        self._most = max(1, self._size // 2)
        self._size = 0
        self._now.set()
        return True

    def _reduce(self, place: int, error: Exception) -> bool:
        """Put another entry in place of one that cannot be kept, unless that was done already."""
        item = self._waiting[place]
        if item.reduced:
            return False
        self._waiting[place] = item._replace(entry=reduced(item.entry, error), reduced=True)
        metrics.AUDIT_REDUCED.inc()
        log.error("audit.reduced", error=ascii(error)[:500], entry=told(item.entry))
        return True

    def _lines(self, count: int) -> list[str]:
        """Return the first entries that wait, each as its line."""
        lines = []
        for place in range(count):
            try:
                text = line(self._waiting[place].entry)
            except Exception as error:
                # Whatever is wrong with it, the others have nothing to do with it.
                self._reduce(place, error)
                text = line(self._waiting[place].entry)
            lines.append(text)
        return lines

    def _fail(self, error: Exception) -> None:
        self._head = None
        metrics.AUDIT_PROBLEM.set(1)
        metrics.AUDIT_WAITING.set(len(self._waiting))
        if self._store.trouble(error) is Trouble.AWAY:
            log.warning("audit.store_away", error=repr(error), waiting=len(self._waiting))
            return
        # Not known to pass: the chain was touched, or a right is missing. Whoever waits need not wait longer.
        self._broken = True
        log.error("audit.broken", error=repr(error), waiting=len(self._waiting))
        for item in self._waiting:
            if item.done is not None and not item.done.done():
                item.done.set_exception(AUDIT_BROKEN.error())

    async def _write_some(self) -> None:
        # What may have been written, though no answer came, must be asked for as it was.
        self._size = self._size or min(self._most, len(self._waiting))
        await self._append(self._lines(self._size))
        written, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        searching, self._most = self._most < BATCH, min(BATCH, 2 * self._most)
        self._size, self._broken = 0, False
        self._doubtful.clear()
        for item in written:
            if item.done is not None and not item.done.done():
                item.done.set_result(None)
        if not self._waiting:
            self._some.clear()
        if self._waiting and (searching or len(self._waiting) >= BATCH or any(i.done for i in self._waiting)):
            self._now.set()
        metrics.AUDIT_ENTRIES.inc(len(written))
        metrics.AUDIT_WAITING.set(len(self._waiting))
        metrics.AUDIT_PROBLEM.set(0)
        self._tell()

    async def _append(self, lines: Sequence[str]) -> None:
        while True:
            for number, hash_ in self._doubtful:
                if await self._store.has(number, hash_):
                    return
            head = self._head or await self._present()
            self._head = None
            batch = chained(self._keys.current, head, lines)
            attempt = (head.number + 1, batch.hashes[0])
            self._doubtful.add(attempt)
            if await self._store.append(head, batch):
                self._head = batch.head
                return
            self._doubtful.discard(attempt)
            # Somebody else was first. Those who came second try again at different moments.
            await asyncio.sleep(JITTER_SECONDS * secrets.randbelow(100) / 100)

    async def _present(self) -> Mark:
        head = await self._store.head()
        if not genuine(self._keys, "head", head):
            raise Touched(head)
        return head

    def _tell(self) -> None:
        """Say in the log where the chain stands: whoever keeps the log elsewhere can verify against it."""
        if self._head is not None and time.monotonic() > self._told + CHECKPOINT_SECONDS:
            self._told = time.monotonic()
            log.info("audit.checkpoint", checkpoint=str(Checkpoint(*self._head[:2])))


class Touched(Exception):
    """The head of the chain was not sealed by this server, or with a key that it does not have."""

    def __init__(self, head: Mark) -> None:
        super().__init__(f"the head at entry {head.number}, key {head.key or 'none'}, is not ours")


def chained(key: Key, head: Mark, lines: Sequence[str]) -> Batch:
    """Return the lines as they follow the entry ``head``."""
    number, hash_ = head.number, head.hash
    hashes = []
    for text in lines:
        number += 1
        hash_ = link(key, number, hash_, text)
        hashes.append(hash_)
    return Batch(lines, hashes, sealed(key, "head", number, hash_))
