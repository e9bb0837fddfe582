"""What `make lab` shows while it works: the phase, the time, and what is being waited for."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

SILENCE_SECONDS = 10


class Progress:
    """Prints phases and their durations; after ten silent seconds it says what it is waiting for."""

    def __init__(self, phases: int, stream: TextIO = sys.stdout) -> None:
        self.phases = phases
        self.stream = stream
        self.begun = time.monotonic()
        self.timings: dict[str, float] = {}
        self.current = ""
        self._waiting = ""
        self._last = self.begun
        self._lock = threading.Lock()

    @contextmanager
    def phase(self, name: str, purpose: str) -> Iterator[None]:
        """Announce a phase, time it, and keep the operator informed while it lasts."""
        started = time.monotonic()
        self.current = name
        self._print(f"[{len(self.timings) + 1}/{self.phases}] {name}: {purpose}")
        self.waiting(purpose)
        over = threading.Event()
        reminder = threading.Thread(target=self._remind, args=(started, over), daemon=True)
        reminder.start()
        try:
            yield
        finally:
            over.set()
            reminder.join()
        self.timings[name] = time.monotonic() - started
        self._print(f"      done in {self.timings[name]:.0f} s")

    def say(self, text: str) -> None:
        """Print something that happened."""
        self._print(f"      {text}")

    def waiting(self, text: str) -> None:
        """Set what is said when nothing has been printed for a while."""
        self._waiting = text

    def _remind(self, started: float, over: threading.Event) -> None:
        while not over.wait(1):
            if time.monotonic() - self._last >= SILENCE_SECONDS:
                self._print(f"      {time.monotonic() - started:4.0f} s, waiting for: {self._waiting}")

    def _print(self, text: str) -> None:
        with self._lock:
            self._last = time.monotonic()
            print(text, file=self.stream, flush=True)
