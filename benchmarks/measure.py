"""What a bench hands over: rows of figures, and promises that hold or do not; and how noise is dealt with.

All servers of a comparison stand at the same time and take turns, A, B, C, then B, C, A, and so on; a ratio
is formed within a turn, where both met the same machine, and the median of all turns is reported.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: what was done, by whom, and the figures by name."""

    what: str
    who: str
    figures: Mapping[str, float]
    recorded: str = ""  # the day of an earlier run, when the peer could not be had in this one


@dataclass(frozen=True, slots=True)
class Promise:
    """A figure that we hold ourselves to."""

    text: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the value is on the right side of the limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(slots=True)
class Report:
    """All that one bench has found."""

    name: str
    title: str
    about: str
    rows: list[Row] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        content = asdict(self)
        for promise, written in zip(self.promises, content["promises"], strict=True):
            written["holds"] = promise.holds
        return content


def rotations(names: Sequence[str], rounds: int) -> Iterator[tuple[int, list[str]]]:
    """For each round its number and the order in which the servers take their turns."""
    for number in range(rounds):
        start = number % len(names)
        yield number, [*names[start:], *names[:start]]


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of single rounds."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def medians(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over all rounds."""
    return {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}


def progress(bench: str) -> Callable[[str], None]:
    """Return a function that prints what is going on, with the seconds since the bench began."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"bench {bench} {time.monotonic() - began:6.1f} s  {text}", flush=True)

    return say
