"""Child processes of a test: started with a log file, awaited by an event in it, ended by their own id."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

#: A bound for waits, and no promise: a server needs two seconds of a processor that may be busy.
START_SECONDS = 60.0
#: Below those that the kernel gives to connections (32768 and up), above those that Chromium refuses to open.
FIRST_PORT, PORTS_FOR_EACH_WORKER = 11000, 2700


def _ports() -> Iterator[int]:
    """Go round in the range of this worker of pytest-xdist, from anywhere: other runs may go on beside."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = FIRST_PORT + worker % 8 * PORTS_FOR_EACH_WORKER
    begin = random.randrange(PORTS_FOR_EACH_WORKER)
    return (first + (begin + number) % PORTS_FOR_EACH_WORKER for number in itertools.count())


_candidates = _ports()


def free_port() -> int:
    """Return a port that nobody listens on now, and that nobody of this test run is given again soon.

    The server that is told to use it starts a while later. One out of the kernel's own choice could have
    become somebody's end of a connection by then.
    """
    for port in itertools.islice(_candidates, PORTS_FOR_EACH_WORKER):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("all ports of this worker are taken")


def await_stop(process: int, seconds: float = 20) -> None:
    """Wait until no thread of a process runs that was sent SIGSTOP.

    The one that is chosen to hear it may have to wait for a processor; the others work on meanwhile.
    """
    give_up = time.monotonic() + seconds
    while not all(
        path.read_text().rpartition(")")[2].split()[0] == "T"
        for path in Path(f"/proc/{process}/task").glob("*/stat")
    ):
        assert time.monotonic() < give_up, f"process {process} does not stop"
        time.sleep(0.005)


class Process:
    """One child; everything it says is kept in ``output`` and shown when a wait fails."""

    def __init__(self, command: list[str], *, environment: dict[str, str] | None = None) -> None:
        self.command = command
        self._pieces: list[str] = []
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
        self._said = threading.Condition()
        self._ended = False
        # Read all the time: a child that nobody listens to blocks as soon as its pipe is full.
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it runs no longer."""
        return self._process.poll() is not None

    @property
    def output(self) -> str:
        """Everything said so far."""
        # Joined when asked for: adding to one text for each line would get slower with every line.
        self._pieces[:] = ["".join(self._pieces)]
        return self._pieces[0]

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._said:
                self._pieces.append(line.decode(errors="replace"))
                self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()

    def wait_for(self, text: str, seconds: float = START_SECONDS, after: int = 0) -> int:
        """Block until ``text`` appears in the output at or behind ``after``; return where it ends."""
        with self._said:
            self._said.wait_for(lambda: self._ended or text in self.output[after:], seconds)
            found = self.output.find(text, after)
        if found < 0:
            raise AssertionError(f"{text!r} did not appear in the output of {self.command}:\n{self.output}")
        return found + len(text)

    def forget_output(self) -> None:
        """Wait only for what is said from now on."""
        with self._said:
            self._pieces.clear()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; a stop has happened when this returns."""
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            await_stop(self.pid)

    def wait(self, seconds: float = 30) -> int:
        """Wait for the end and return the exit code."""
        return self._process.wait(seconds)

    def kill(self) -> None:
        """End the child without asking."""
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        """End the child however it takes."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()


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
