"""Finds what was done to a trail from outside: each change, removal and insertion, with its place."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from composer_mcp.audit.chain import Checkpoint, Keys, Mark, genuine, link
from composer_mcp.audit.store import LOWEST, PAGE, Row, Snapshot

#: So many are told; a trail with more of them was not changed by accident.
PROBLEMS_TOLD = 20
#: Looking at so many takes some milliseconds, for which nobody else is served.
STEP = 100

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was recorded; ``number`` is the entry's place in the chain."""

    number: int
    what: str


class Bounds(NamedTuple):
    """How much is looked at in one go: so many entries, for so many seconds; one entry in any case."""

    entries: float
    seconds: float


EVERYTHING = Bounds(math.inf, math.inf)


@dataclass(slots=True)
class Verdict:
    """What was found. ``first`` to ``last`` are the entries that were looked at; 0 and 0 for none.

    ``checkpoint`` is the last of them; unless it is ``done``, the rest comes after it.
    """

    first: int = 0
    last: int = 0
    entries: int = 0
    checkpoint: str = ""
    done: bool = True
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def add(self, number: int, what: str) -> None:
        """Keep a problem, unless there are too many already."""
        if len(self.problems) < PROBLEMS_TOLD:
            self.problems.append(Problem(number, what))


class Chain:
    """Follows a chain, entry by entry, and notes where it is broken.

    After a break it goes on from what is stored, so that each place is told and not only the first.
    """

    def __init__(self, keys: Keys, after: Checkpoint, verdict: Verdict) -> None:
        self._keys = keys
        self._verdict = verdict
        self.number, self.hash = after

    def follow(self, row: Row) -> None:
        """Look at the next entry."""
        verdict = self._verdict
        verdict.entries += 1
        verdict.first = verdict.first or row.number
        verdict.last = row.number
        if row.number <= self.number:
            verdict.add(row.number, f"it was inserted: the chain begins after {self.number}")
            return
        if row.number != self.number + 1:
            missing = f"the entries {self.number + 1} to {row.number - 1} are missing"
            if row.number == self.number + 2:
                missing = "this entry is missing"
            verdict.add(self.number + 1, missing)
        elif (problem := self._wrong(row)) is not None:
            verdict.add(row.number, problem)
        self.number, self.hash = row.number, row.hash

    def _wrong(self, row: Row) -> str | None:
        key = self._keys.find(row.key)
        if key is None:
            return f"it was made with the key {row.key!r}, which is not among those of audit-key"
        if link(key, row.number, self.hash, row.line) != row.hash:
            return "it was changed, or the one before it was removed, inserted or exchanged"
        if not _repeats(row):
            return "the columns by which it is found say something else than its line"
        return None


def _repeats(row: Row) -> bool:
    told: dict[str, Any] = json.loads(row.line)
    return datetime.fromisoformat(told["at"]) == row.at and [
        told[name] for name in ("tenant", "actor", "action", "outcome")
    ] == list(row[2:6])


async def verify(
    snapshot: Snapshot,
    keys: Keys,
    *,
    after: Checkpoint | None = None,
    bounds: Bounds = EVERYTHING,
    against: Iterable[Checkpoint] = (),
    on_progress: OnProgress | None = None,
) -> Verdict:
    """Verify what a store holds, from the anchor to the head, and what ``against`` says it held.

    From ``after`` instead of the anchor, which is then one of those that it held; and within ``bounds``.
    """
    verdict = Verdict()
    head, anchor = snapshot.head, snapshot.anchor
    begin = after or Checkpoint(anchor.number, anchor.hash)
    wanted = {point.number: point.hash for point in (begin, *against)}
    for name, mark in (("anchor", anchor), ("head", head)):
        if not genuine(keys, "anchor" if name == "anchor" else "head", mark):
            verdict.add(max(mark.number, 0), f"the {name} of the chain was not sealed by this server")
    chain = Chain(keys, begin, verdict)
    _compare(wanted, anchor.number, anchor.hash, verdict)
    # With the entry of the checkpoint, to see whether it is the one.
    rows = _one_by_one(snapshot.pages(LOWEST if after is None else begin.number - 1))
    until = time.monotonic() + bounds.seconds
    async for row in rows:
        if verdict.entries and (verdict.entries >= bounds.entries or time.monotonic() > until):
            verdict.done = False
            break
        if row.number == begin.number > anchor.number:
            chain.hash = row.hash
        else:
            chain.follow(row)
        _compare(wanted, row.number, row.hash, verdict)
        if on_progress is not None and verdict.entries % PAGE == 0:
            on_progress(chain.number - anchor.number, head.number - anchor.number)
    if on_progress is not None and verdict.entries % PAGE:
        on_progress(chain.number - anchor.number, head.number - anchor.number)
    if verdict.done and begin.number <= head.number:
        _end(chain, head, verdict)
    _not_met(wanted, snapshot, chain, verdict)
    verdict.checkpoint = str(Checkpoint(chain.number, chain.hash))
    return verdict


async def _one_by_one(pages: AsyncIterable[Sequence[Row]]) -> AsyncIterator[Row]:
    """Yield each row of the pages; whoever shares the loop is served in between."""
    async for rows in pages:
        for place, row in enumerate(rows):
            if place % STEP == 0:
                await asyncio.sleep(0)
            yield row


def _end(chain: Chain, head: Mark, verdict: Verdict) -> None:
    last = chain.number
    if last < head.number:
        verdict.add(last + 1, f"the entries {last + 1} to {head.number} at the end are missing")
    elif last > head.number:
        verdict.add(head.number + 1, f"the entries {head.number + 1} to {last} were inserted at the end")
    elif chain.hash != head.hash:
        verdict.add(head.number, "the last entry is not the one that the head names")


def _not_met(wanted: Iterable[int], snapshot: Snapshot, chain: Chain, verdict: Verdict) -> None:
    """Tell of checkpoints whose entries were not come upon."""
    for number in wanted:
        if number <= snapshot.anchor.number:
            verdict.add(number, "the checkpoint of this entry lies in the archived part")
        elif number <= min(chain.number, snapshot.head.number):
            verdict.add(number, "this entry is missing, which a checkpoint names")
        elif verdict.done:
            verdict.add(number, "the checkpoint of this entry lies beyond the end of the trail")


def _compare(wanted: dict[int, bytes], number: int, hash_: bytes, verdict: Verdict) -> None:
    expected = wanted.pop(number, None)
    if expected is not None and expected != hash_:
        verdict.add(number, "it is not the entry that the checkpoint names")


async def verify_pages(
    pages: AsyncIterable[Sequence[Row]], keys: Keys, after: Checkpoint, against: Iterable[Checkpoint] = ()
) -> tuple[Verdict, Checkpoint, set[int]]:
    """Verify entries that stand outside a store; return also their end, and the checkpoints not met."""
    verdict = Verdict()
    wanted = {point.number: point.hash for point in against}
    chain = Chain(keys, after, verdict)
    async for rows in pages:
        for row in rows:
            chain.follow(row)
            _compare(wanted, row.number, row.hash, verdict)
    verdict.checkpoint = str(Checkpoint(chain.number, chain.hash))
    return verdict, Checkpoint(chain.number, chain.hash), set(wanted)
