"""The port to where the trail is kept; ``postgres`` and ``sqlite`` implement it.

A store knows nothing of keys: it is given lines with their hashes, and marks with their seals. It only
appends. Removing what was archived is a door of its own, which needs the owner's rights.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple, Protocol

from composer_mcp.audit.chain import Mark

PAGE = 1000
#: Below every number that an entry can have, also one that somebody else has put in.
LOWEST = -(2**63)


class Trouble(Enum):
    """What an error means for what was asked; a store looks for the first that is true of it."""

    #: A value cannot be kept. Without it the same can be asked at once.
    REFUSED = "refused"
    #: The store cannot be asked now, and may be later.
    AWAY = "away"
    #: Something that does not pass: a right is missing, or somebody else has changed the tables.
    LASTING = "lasting"


class Row(NamedTuple):
    """One entry as it is stored; all but the last four repeat what stands in ``line``, to search by."""

    number: int
    at: datetime
    tenant: str
    actor: str
    action: str
    outcome: str
    line: str
    key: str
    hash: bytes


class Batch(NamedTuple):
    """What to append: lines with their hashes, made with one key, and the head that follows from them."""

    lines: Sequence[str]
    hashes: Sequence[bytes]
    head: Mark


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are asked for; what is left out does not matter.

    ``actor`` and ``action`` may end with ``*``. ``before`` is a number: look below it, for the next page.
    """

    since: datetime | None = None
    until: datetime | None = None
    tenant: str | None = None
    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    correlation_id: str | None = None
    before: int | None = None


class Snapshot(Protocol):
    """The trail as it is at one moment, however long it is looked at."""

    head: Mark
    anchor: Mark

    def pages(self, after: int = LOWEST) -> AsyncIterator[Sequence[Row]]:
        """Yield the entries with higher numbers than ``after``, in order, some at a time."""

    async def number_before(self, moment: datetime) -> int:
        """Return the highest number such that it and all below it were recorded before ``moment``."""


class AuditStore(Protocol):
    """Keeps the trail."""

    async def head(self) -> Mark:
        """Return which entry is the last.

        What it raises, as any other method here, is for :meth:`trouble` to judge.
        """

    async def append(self, head: Mark, batch: Batch) -> bool:
        """Append durably, all or nothing, if ``head`` is the present one; otherwise return false."""

    async def has(self, number: int, hash_: bytes) -> bool:
        """Whether this entry is there: whether an append whose answer was lost was done."""

    async def find(self, which: Filter, limit: int) -> Sequence[Row]:
        """Return the newest entries of those asked for, newest first."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Look at everything, unmoved by what happens meanwhile."""

    async def forget(self, anchor: Mark, expected: Mark) -> int | None:
        """Remove all entries up to the new ``anchor``; return how many.

        Nothing, and nothing is done, if ``expected`` is not the present anchor. Needs the owner's rights.
        """

    async def restart(self, head: Mark, anchor: Mark) -> int:
        """Remove all entries and begin a chain after these marks; return how many there were.

        Needs the owner's rights.
        """

    def trouble(self, error: Exception) -> Trouble:
        """Return what an error of one of these methods means."""
