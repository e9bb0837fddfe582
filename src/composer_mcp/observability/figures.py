"""Keeps the folder of figures small and true: what dead processes counted becomes one file of each type.

Each process of a host counts into files of its own (see ``metrics``). Without this a worker that is restarted
again and again would fill the memory in which they lie, and each look at the figures would take longer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

#: Files of dead processes are left alone until there are so many.
MERGE_FROM = 8
#: How long a look at the figures waits while they are merged; after that it may show them too low, once.
WAIT_SECONDS = 0.5
LOCK = "merging.lock"
KINDS = ("counter", "histogram")


def forget_dead(folder: Path) -> None:
    """Drop what processes that are gone said of their present state; what they counted stays."""
    for figures in folder.glob("gauge_live*_*.db"):
        if _is_dead(figures):
            # Another process may have been quicker.
            with contextlib.suppress(OSError):
                figures.unlink()


def merge_dead(folder: Path) -> None:
    """Add up what dead processes have counted, if there are many; the sum is the same before and after.

    The metrics library must not be imported for the first time by this, unless it knows the folder.
    """
    with _locked(folder, fcntl.LOCK_EX, seconds=0) as alone:
        if not alone:
            return
        dead = [path for kind in KINDS for path in folder.glob(f"{kind}_*.db") if _is_dead(path)]
        # Of a merge that was interrupted.
        left = list(folder.glob("*.merging"))
        if len(dead) < MERGE_FROM and not left:
            return
        for path in dead:
            left.append(path.rename(path.with_suffix(".merging")))
        for kind in KINDS:
            _merge(folder, kind, [path for path in left if path.name.startswith(f"{kind}_")])


@contextlib.contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Look at the figures while nobody merges them, if that does not take long."""
    with _locked(folder, fcntl.LOCK_SH, seconds=WAIT_SECONDS):
        yield


def _merge(folder: Path, kind: str, files: list[Path]) -> None:
    from prometheus_client.mmap_dict import MmapedDict

    merged, new = folder / f"{kind}_merged.db", folder / f"{kind}_merged.new"
    totals: dict[str, float] = defaultdict(float)
    for path in [merged, *files]:
        # A process that was killed may have left a file that was never written.
        with contextlib.suppress(FileNotFoundError, struct.error, RuntimeError, UnicodeDecodeError):
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
                totals[key] += value
    if totals:
        new.unlink(missing_ok=True)
        figures = MmapedDict(str(new))
        for key, value in totals.items():
            figures.write_value(key, value, 0.0)
        figures.close()
        new.replace(merged)
    for path in files:
        path.unlink(missing_ok=True)


def _is_dead(figures: Path) -> bool:
    number = figures.stem.rpartition("_")[2]
    if not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        # It is another user's, and alive.
        return False
    return False


@contextlib.contextmanager
def _locked(folder: Path, how: int, *, seconds: float) -> Iterator[bool]:
    """Hold the folder's lock for as long as the context lasts; yields whether that came true in time."""
    with (folder / LOCK).open("a") as lock:
        yield _lock(lock, how, seconds)


def _lock(lock: TextIO, how: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            # Whoever holds it may have been frozen.
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True
