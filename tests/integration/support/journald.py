"""systemd's journal itself, in a namespace of its own beside the machine's, if that has one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

from .processes import Process, run

PROGRAM = "/lib/systemd/systemd-journald"
#: Starts a program as systemd would: it is told that its standard error is the journal's.
WRAPPER = (
    "import os, sys; s = os.fstat(2); os.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}'; "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


class Journald:
    """A journal that keeps its entries in memory until it is closed."""

    def __init__(self) -> None:
        self.namespace = f"composer-test-{os.getpid()}"
        self._folder = Path(f"/run/systemd/journal.{self.namespace}")
        self._kept = Path(f"/run/log/journal/{self._machine()}.{self.namespace}")
        self._process: Process | None = None
        self._stream: socket.socket | None = None
        self.start()

    @property
    def socket(self) -> Path:
        """Where it takes entries."""
        return self._folder / "socket"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        # Without a service manager nobody holds its sockets while it is restarted.
        self.socket.unlink(missing_ok=True)
        self._process = Process([PROGRAM, self.namespace])
        deadline = time.monotonic() + 20
        while not self.socket.exists():
            assert time.monotonic() < deadline, f"no journal: {self._process.output}"
            time.sleep(0.05)
        # In a namespace it would end after half a minute in which nobody is connected.
        self._stream = socket.socket(socket.AF_UNIX)
        self._stream.connect(str(self._folder / "stdout"))

    def stop(self) -> None:
        """Stop it; what it has written stays."""
        if self._stream is not None:
            self._stream.close()
        if self._process is not None:
            self._process.stop()

    def entries(self, *matches: str, after: str = "") -> list[dict[str, Any]]:
        """Return the entries whose fields match, as an operator would search for them."""
        chosen = [f"--after-cursor={after}"] if after else []
        command = ["journalctl", f"--namespace={self.namespace}", "--output=json", "--all", *chosen, *matches]
        return [json.loads(line) for line in run(command).splitlines()]

    def wait_for(self, *matches: str, seconds: float = 40) -> dict[str, Any]:
        """Return the first entry that matches."""
        deadline = time.monotonic() + seconds
        while not (found := self.entries(*matches)):
            assert time.monotonic() < deadline, f"no entry {matches}; the last ones are {self.entries()[-5:]}"
            time.sleep(0.2)
        return found[0]

    def close(self) -> None:
        """Stop it, and remove what it has written."""
        self.stop()
        for folder in (self._folder, self._kept):
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _machine() -> str:
        return Path("/etc/machine-id").read_text().strip()


def under_systemd(command: list[str]) -> list[str]:
    """Return a command that finds its standard error to be the journal."""
    return [sys.executable, "-c", WRAPPER, *command]
