"""A wall clock of a process's own, which a test sets forward and back. Needs the library libfaketime."""

from __future__ import annotations

from pathlib import Path


class Clock:
    """Right at first; ``environment`` makes a process and its children look at it."""

    def __init__(self, file: Path) -> None:
        """``file`` is where the present setting is kept.

        Raises:
            AssertionError: the library is not installed.
        """
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        assert libraries, "libfaketime is not installed: apt-get install libfaketime"
        self._file = file
        # What measures stretches of time is left alone: no clock that jumps does that to it.
        self.environment = {
            "LD_PRELOAD": str(libraries[-1]),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, hours: float) -> None:
        """Set it so many hours forward; back, if negative; 0: right."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{hours:+g}h\n")
        new.replace(self._file)
