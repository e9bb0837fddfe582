"""What a run has shown: a line for each fault, and whatever was lost, doubled or left without an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from .callers import Call, Ledger
from .stage import Stage

SETTLE_SECONDS = 90.0
UNFINISHED = "select count(*) from job where state in ('queued', 'running')"


@dataclass(frozen=True, slots=True)
class Line:
    """One fault; moments are monotonic seconds, ``recovery`` in seconds, ``None`` if that never came."""

    name: str
    began: float
    ended: float
    recovery: float | None
    remark: str
    is_broken: bool


@dataclass(slots=True)
class Verdict:
    """The lines with their counts, and all that must not be."""

    lines: list[tuple[Line, int, int, int, int]]
    problems: list[str]
    totals: dict[str, int] = field(default_factory=dict)


async def judged(stage: Stage, ledger: Ledger, lines: list[Line]) -> Verdict:
    """Compare what callers were told with what the third party and the database hold."""
    unfinished = await _unfinished(stage)
    held = stage.compositions(stage.mark)
    doubled = {title for title, count in held.items() if count > 1}
    promised = {call.title for call in ledger.calls if call.tool == "create_composition" and not call.failure}
    missing = promised - held.keys()
    counted = []
    for line in lines:
        calls = ledger.between(line.began, line.ended)
        lost = sum(bool(call.failure) for call in calls)
        twice = sum(call.title in doubled for call in calls if call.tool == "create_composition")
        counted.append((line, len(calls), sum(call.repeats for call in calls), lost, twice))
    problems = [
        *(f"{line.name}: {line.remark}" for line in lines if line.is_broken),
        *(f"{line.name}: not recovered" for line in lines if line.recovery is None),
        *(f"lost: {_said(call)}" for call in ledger.calls if call.failure),
        *(f"doubled: {title}" for title in sorted(doubled)),
        *(f"told as made, and not there: {title}" for title in sorted(missing)),
        *([f"{unfinished} jobs without an end"] if unfinished else []),
        *await _tampered(stage),
    ]
    totals = {
        "calls": len(ledger.calls),
        "compositions": len(held),
        "lost": sum(bool(call.failure) for call in ledger.calls),
        "doubled": len(doubled),
        "processes started again": stage.restarts,
    }
    return Verdict(counted, problems, totals)


async def _unfinished(stage: Stage) -> int:
    """Wait until every accepted job has ended; return how many have not."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        left = int(await asyncio.to_thread(stage.platform.sql, UNFINISHED))
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(0.5)


async def _tampered(stage: Stage) -> list[str]:
    """Return why the audit trail does not verify, if it does not."""
    try:
        await asyncio.to_thread(stage.platform.run, "audit", "verify")
    except AssertionError as error:
        return [f"audit trail: {error}"]
    return []


def _said(call: Call) -> str:
    return f"{call.tool} '{call.title}' after {call.ended - call.began:.0f} s: {call.failure[:300]}"


def table(verdict: Verdict) -> str:
    """The result as a page of Markdown."""
    return "\n".join(_page(verdict))


def _page(verdict: Verdict) -> Iterator[str]:
    yield "# Faults under load"
    yield ""
    yield "Written by `make chaos`. Calls: under way while the fault lasted or was recovered from. Repeated:"
    yield "how often a caller had to ask again under the same key. Recovery: until a call that each caller"
    yield "began after the fault (after its end, where it lasted) has succeeded."
    yield ""
    yield "| fault | calls | repeated | lost | doubled | seconds to recovery | |"
    yield "|---|---|---|---|---|---|---|"
    for line, calls, repeated, lost, doubled in verdict.lines:
        recovery = "never" if line.recovery is None else f"{line.recovery:.1f}"
        yield f"| {line.name} | {calls} | {repeated} | {lost} | {doubled} | {recovery} | {line.remark} |"
    yield ""
    yield ", ".join(f"{name}: {count}" for name, count in verdict.totals.items())
    if verdict.problems:
        yield ""
        yield from (f"- **{problem}**" for problem in verdict.problems)
