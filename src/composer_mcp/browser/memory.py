"""What processes use of the machine's memory, as Linux tells it under /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIB = 1024 * 1024
PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def resident_mib(process: int) -> float:
    """Return how much of a process is in memory, shared pages included; 0 once it has ended."""
    return _pages(process)[0] * PAGE_BYTES / MIB


def proportional_mib(processes: Iterable[int]) -> float:
    """Return what processes use together, pages they share with others in proportion (``Pss``).

    A process whose figures the system keeps to itself counts with its own pages only.
    """
    total = 0.0
    for process in processes:
        try:
            found = PSS.search(Path(f"/proc/{process}/smaps_rollup").read_text())
        except OSError:
            found = None
        total += int(found[1]) / 1024 if found else _own_mib(process)
    return total


def _own_mib(process: int) -> float:
    resident, shared = _pages(process)
    return (resident - shared) * PAGE_BYTES / MIB


def _pages(process: int) -> tuple[int, int]:
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
    except (OSError, ValueError):
        return 0, 0
    return int(resident), int(shared)
