"""Child processes of a test: started with a log file, awaited by an event in it, ended by their own id."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from pathlib import Path


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One child; everything it says is kept in ``output`` and shown when a wait fails."""

    def __init__(self, command: list[str], *, environment: dict[str, str] | None = None) -> None:
        self.command = command
        self.output = ""
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, text: str, seconds: float = 20, after: int = 0) -> int:
        """Block until ``text`` appears in the output at or behind ``after``; return where it ends."""
        deadline = time.monotonic() + seconds
        while (found := self.output.find(text, after)) < 0:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not self._read(remaining):
                raise AssertionError(
                    f"{text!r} did not appear in the output of {self.command}:\n{self.output}"
                )
        return found + len(text)

    def _read(self, seconds: float) -> bool:
        """Take over what the child says next; false when it has ended."""
        assert self._process.stdout is not None
        if not self._selector.select(seconds):
            return True
        chunk = self._process.stdout.read()
        if not chunk:
            return False
        self.output += chunk.decode(errors="replace")
        return True

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """Wait for the end and return the exit code."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._read(deadline - time.monotonic()):
            pass
        return self._process.wait(max(0.1, deadline - time.monotonic()))

    def kill(self) -> None:
        """End the child without asking."""
        self._process.kill()
        self._process.wait(10)
        self._selector.close()

    def stop(self) -> None:
        """End the child however it takes."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
        self._selector.close()


def run(command: list[str], *, user: str | None = None, seconds: float = 60, say: str = "") -> str:
    """Run a command to its end and return what it said; fail with it if it fails."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=seconds,
        user=user,
        check=False,
        cwd=Path("/"),
        input=say,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout
