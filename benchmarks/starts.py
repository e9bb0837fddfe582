"""The file into which the workers of a bench write when they begin something: label, process, moment."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Starts:
    """What has begun so far; moments are monotonic seconds."""

    file: Path

    def of(self, label: str) -> list[tuple[int, float]]:
        """Process and moment of each start of what has this label."""
        if not self.file.exists():
            return []
        lines = (line.split() for line in self.file.read_text(encoding="ascii").splitlines())
        return [(int(process), float(moment)) for name, process, moment in lines if name == label]

    async def begun(self, label: str, times: int, seconds: float) -> list[tuple[int, float]]:
        """Wait until what has this label has started so many times.

        Raises:
            TimeoutError: it has not.
        """
        async with asyncio.timeout(seconds):
            while True:
                found = self.of(label)
                if len(found) >= times:
                    return found
                await asyncio.sleep(LOOK_SECONDS)
