"""The slots of one worker process: some are kept for short jobs, the others take whatever comes first."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from composer_mcp.jobs.requests import KINDS


def worker_name() -> str:
    """Return by what name an operator finds this worker: its host and process."""
    return f"{socket.gethostname()[:80]}/{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Room:
    """What may be taken now: at most ``jobs``, and long ones only if ``long``.

    ``short_of`` says that something may have to be left where it is, until a slot becomes free.
    """

    jobs: int
    long: bool
    short_of: bool

    def takes(self, kind: str) -> bool:
        """Return whether a job of this kind may be taken; a kind of another release is a long one."""
        return self.long or is_interactive(kind)


class Slots:
    """Knows which jobs this process has, by their entries in the queue."""

    def __init__(self, total: int, kept: Callable[[], int]) -> None:
        self._total = total
        self._kept = kept
        self._long: set[str] = set()
        self._short: set[str] = set()

    def take(self, entry: str, kind: str) -> None:
        """Take note that a job has a slot."""
        (self._short if is_interactive(kind) else self._long).add(entry)

    def free(self, entry: str) -> bool:
        """Take note that a job has none any more; return whether it had one."""
        had = entry in self._long or entry in self._short
        self._long.discard(entry)
        self._short.discard(entry)
        return had

    def room(self, batch: int) -> Room:
        """Return what may be taken by one fetch of at most ``batch``."""
        free = min(batch, self._total - len(self._long) - len(self._short))
        # At least one slot is for long jobs, whatever is set while this runs.
        long = max(1, self._total - max(1, self._kept())) - len(self._long)
        if free <= 0:
            return Room(0, long=False, short_of=True)
        if long <= 0:
            return Room(free, long=False, short_of=True)
        # Among the jobs of one fetch there may be no more long ones than there is room for.
        return Room(min(free, long), long=True, short_of=False)


def is_interactive(kind: str) -> bool:
    """Return whether a job of this kind is a short one."""
    return kind in KINDS and KINDS[kind].interactive
