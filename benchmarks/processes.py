"""Child processes of a bench: their logs go to files, and /proc tells what they use.

A server under measurement must not wait for us to read its log, so nothing here is a pipe.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 40.0
STOP_SECONDS = 15.0


class Failed(Exception):
    """A part of a bench did not start or did not answer; the message ends with what its log said."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def descendants(root: int) -> list[int]:
    """The process and everything it started, at this moment."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting += parents.get(process, [])
    return found


def pss_mib(processes: Iterable[int]) -> float:
    """Proportional set size of these processes together, in MiB."""
    total = 0
    for process in processes:
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return total / 1024


def cpu_seconds(processes: Iterable[int]) -> float:
    """Seconds of processor time, user and system, that these processes have used so far.

    The scheduler's own count, in nanoseconds, of every thread: the figures of ``stat`` have steps of 10 ms.
    """
    total = 0
    for process in processes:
        for thread in Path(f"/proc/{process}/task").glob("*/schedstat"):
            try:
                total += int(thread.read_text(encoding="ascii").split()[0])
            except (FileNotFoundError, ProcessLookupError, IndexError):
                continue
    return total / 1e9


class Child:
    """One process with a log file; ended by its own id, with everything that it started."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        core: int | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        pin = [] if core is None else ["taskset", "--cpu-list", str(core)]
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [*pin, *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process that we started."""
        return self._process.pid

    def family(self) -> list[int]:
        """This process and its children."""
        return descendants(self.pid)

    async def listens(self, port: int, seconds: float = START_SECONDS) -> None:
        """Wait until somebody answers on a port of 127.0.0.1.

        Raises:
            Failed: the process ended, or did not listen in time.
        """
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                raise Failed(f"ended with {self._process.returncode}:\n{self.tail()}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
        raise Failed(f"does not listen on {port} after {seconds:.0f} s:\n{self.tail()}")

    async def says(self, text: str, seconds: float = START_SECONDS) -> None:
        """Wait until its log has this text.

        Raises:
            Failed: the process ended, or did not say it in time.
        """
        give_up = time.monotonic() + seconds
        while text not in self.log.read_text(encoding="utf-8", errors="replace"):
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise Failed(f"did not say {text!r} (code {self._process.poll()}):\n{self.tail()}")
            await asyncio.sleep(0.05)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def kill(self) -> None:
        """End it and its children without asking."""
        for process in reversed(self.family()):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """Ask it to end; without an answer in time, end it."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
