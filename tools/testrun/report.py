"""What a layer found, and how it is told. Nothing here starts a program."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TextIO

LOG_LINES_SHOWN = 40


class Outcome(StrEnum):
    """How one item ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Item:
    """The smallest thing that is counted: a test, a checker, a scenario."""

    name: str
    outcome: Outcome
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AcceptedSkip:
    """A test may be skipped for this reason; every other skip counts as a failure."""

    layer: str
    reason: re.Pattern[str]
    because: str


@dataclass(slots=True)
class LayerReport:
    """All items of one layer."""

    name: str
    log: Path
    items: list[Item] = field(default_factory=list)
    seconds: float = 0.0
    left_out: str = ""
    """Why the whole layer was not run; a person gave this reason on the command line."""
    remarks: list[str] = field(default_factory=list)
    """Lines for the summary that are neither success nor failure, such as memory used."""

    def count(self, outcome: Outcome) -> int:
        """Items that ended so."""
        return sum(item.outcome is outcome for item in self.items)

    @property
    def failures(self) -> list[Item]:
        """The failed items, in the order in which they ran."""
        return [item for item in self.items if item.outcome is Outcome.FAILED]

    def close(self, accepted: Sequence[AcceptedSkip]) -> None:
        """Turn what would hide something into failures: unaccepted skips, a layer without any success."""
        self.items = [_judge_skip(item, self.name, accepted) for item in self.items]
        if not self.left_out and not self.failures and not self.count(Outcome.PASSED):
            self.items.append(
                Item(
                    "nothing ran",
                    Outcome.FAILED,
                    detail="a layer in which nothing passed proves nothing, so it counts as failed",
                )
            )


def _judge_skip(item: Item, layer: str, accepted: Sequence[AcceptedSkip]) -> Item:
    if item.outcome is not Outcome.SKIPPED:
        return item
    for skip in accepted:
        if skip.layer == layer and skip.reason.search(item.detail):
            return item
    return Item(item.name, Outcome.FAILED, item.seconds, f"skipped without an accepted reason: {item.detail}")


class Console:
    """Progress for a reader who may have no terminal: whole lines, each with its time since the start."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._start

    def say(self, layer: str, text: str) -> None:
        """Print one line of progress."""
        self._stream.write(f"[{minutes(self.elapsed)}] {layer:<11} {text}\n")
        self._stream.flush()

    def show(self, text: str) -> None:
        """Print text as it stands."""
        self._stream.write(text + "\n")
        self._stream.flush()


def minutes(seconds: float) -> str:
    """`75.0` becomes ` 1:15`."""
    whole = round(seconds)
    return f"{whole // 60:2d}:{whole % 60:02d}"


def tail(log: Path, lines: int = LOG_LINES_SHOWN) -> str:
    """The end of a log file, indented; empty when there is none."""
    if not log.exists():
        return ""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(f"    | {line}" for line in text[-lines:])


def summary(reports: Sequence[LayerReport]) -> str:
    """The table, the reasons for what was left out, the failures, and the last line for machines."""
    rows = [("layer", "passed", "failed", "skipped", "seconds")]
    rows += [
        (
            report.name,
            str(report.count(Outcome.PASSED)),
            str(report.count(Outcome.FAILED)),
            "all" if report.left_out else str(report.count(Outcome.SKIPPED)),
            f"{report.seconds:.1f}",
        )
        for report in reports
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["", "Summary"]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells))
    lines += [f"  {report.name} was left out: {report.left_out}" for report in reports if report.left_out]
    lines += [f"  {report.name}: {remark}" for report in reports for remark in report.remarks]
    lines += [
        f"  skipped {report.name} {item.name}: {item.detail}"
        for report in reports
        for item in report.items
        if item.outcome is Outcome.SKIPPED
    ]
    for report in reports:
        lines += [f"  FAILED {report.name} {item.name}: {item.detail}" for item in report.failures]
        if report.failures:
            lines.append(f"  see {report.log}")
    lines += ["", last_line(reports)]
    return "\n".join(lines)


def results(reports: Sequence[LayerReport]) -> str:
    """Every item with its outcome and seconds, as JSON, for whoever compares runs."""
    return json.dumps(
        {
            report.name: {
                "seconds": round(report.seconds, 1),
                "items": [
                    {"name": item.name, "outcome": item.outcome, "seconds": round(item.seconds, 2)}
                    for item in report.items
                ],
            }
            for report in reports
        },
        indent=1,
    )


def last_line(reports: Sequence[LayerReport]) -> str:
    """`N passed, N failed`, and the skipped ones where there are any."""
    passed, failed, skipped = (sum(report.count(outcome) for report in reports) for outcome in Outcome)
    line = f"{passed} passed, {failed} failed"
    return f"{line}, {skipped} skipped" if skipped else line
