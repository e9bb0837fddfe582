"""Finds what was done to a trail from outside: each change, removal and insertion, with its place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from composer_mcp.audit.chain import Checkpoint, Keys, Mark, genuine, link
from composer_mcp.audit.store import Row, Snapshot

#: So many are told; a trail with more of them was not changed by accident.
PROBLEMS_TOLD = 20

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it was recorded; ``number`` is the entry's place in the chain."""

    number: int
    what: str


@dataclass(slots=True)
class Verdict:
    """What was found. ``first`` to ``last`` are the entries that were looked at; 0 and 0 for none."""

    first: int = 0
    last: int = 0
    entries: int = 0
    checkpoint: str = ""
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
        if row.number != self.number + 1:
            missing = f"the entries {self.number + 1} to {row.number - 1} are missing"
            if row.number <= self.number:
                missing = f"this number stands after {self.number}"
            elif row.number == self.number + 2:
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
    against: Iterable[Checkpoint] = (),
    on_progress: OnProgress | None = None,
) -> Verdict:
    """Verify what a store holds, from the anchor to the head, and what ``against`` says it held."""
    verdict = Verdict()
    head, anchor = snapshot.head, snapshot.anchor
    wanted = {point.number: point.hash for point in against}
    for name, mark in (("anchor", anchor), ("head", head)):
        if not genuine(keys, "anchor" if name == "anchor" else "head", mark):
            verdict.add(max(mark.number, 0), f"the {name} of the chain was not sealed by this server")
    chain = Chain(keys, Checkpoint(anchor.number, anchor.hash), verdict)
    _compare(wanted, anchor.number, anchor.hash, verdict)
    async for rows in snapshot.pages():
        for row in rows:
            chain.follow(row)
            _compare(wanted, row.number, row.hash, verdict)
        if on_progress is not None:
            on_progress(chain.number - anchor.number, head.number - anchor.number)
        await asyncio.sleep(0)
    _end(chain, head, verdict)
    for number in wanted:
        where = "in the archived part" if number <= anchor.number else "beyond the end of the trail"
        verdict.add(number, f"the checkpoint of this entry lies {where}")
    verdict.checkpoint = str(Checkpoint(chain.number, chain.hash))
    return verdict


def _end(chain: Chain, head: Mark, verdict: Verdict) -> None:
    last = chain.number
    if last < head.number:
        verdict.add(last + 1, f"the entries {last + 1} to {head.number} at the end are missing")
    elif last > head.number:
        verdict.add(head.number + 1, f"the entries {head.number + 1} to {last} were inserted at the end")
    elif chain.hash != head.hash:
        verdict.add(head.number, "the last entry is not the one that the head names")


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
