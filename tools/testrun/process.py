"""Runs one program: all its output into a log, its last line to the console now and then, within a limit."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tools.testrun.report import Console

HEARTBEAT_SECONDS = 15.0
ENDINGS = ((signal.SIGINT, 60.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0))
STRAGGLER_SECONDS = 5.0
TAIL_BYTES = 4096
LINE_SHOWN = 140

TIMED_OUT = 124
NOT_FOUND = 127


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, where, and how long it may take."""

    name: str
    command: Sequence[str]
    cwd: Path
    limit_seconds: float
    env: Mapping[str, str]


async def run(program: Program, log: Path, layer: str, console: Console) -> tuple[int, float]:
    """Run the program and append its output to the log.

    Returns:
        The exit code (124: stopped at its limit, 127: no such program) and the seconds it took.
    """
    start = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(program.command)}\n".encode())
        sink.flush()
        try:
            # Straight into the file: with a pipe, an ssh master left behind by Ansible would keep us waiting
            # for an end of output that does not come.
            process = await asyncio.create_subprocess_exec(
                *program.command,
                cwd=program.cwd,
                env=dict(program.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # a group of its own, so that a stop reaches what it started too
            )
        except OSError as error:
            sink.write(f"{error}\n".encode())
            return NOT_FOUND, time.monotonic() - start
        heart = asyncio.create_task(_beat(layer, program.name, log, console))
        try:
            async with asyncio.timeout(program.limit_seconds):
                code = await process.wait()
        except TimeoutError:
            sink.write(f"\nstopped: the limit of {program.limit_seconds:.0f} s is over\n".encode())
            code = TIMED_OUT
        finally:
            heart.cancel()
            if process.returncode is None:
                await _stop(process)
    return code, time.monotonic() - start


async def _beat(layer: str, name: str, log: Path, console: Console) -> None:
    start = time.monotonic()
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        waited = round(time.monotonic() - start)
        console.say(layer, f"{name}: {waited} s so far; {last_line_of(log) or 'no output yet'}")


def last_line_of(log: Path) -> str:
    """The last line with text in it, cut to a readable length."""
    with log.open("rb") as source:
        source.seek(max(0, source.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = source.read().decode("utf-8", "replace").splitlines()
    return next((line.strip()[:LINE_SHOWN] for line in reversed(lines) if line.strip()), "")


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End the program and everything in its group: first asked, then forced.

    Asked as Ctrl-C asks, because that is what lets pytest take its fixtures down and the lab tidy up.
    """
    for number, patience in ENDINGS:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await process.wait()
                break
    # What it started may need a moment longer, or was not yet ready to hear the signal.
    give_up = time.monotonic() + STRAGGLER_SECONDS
    with suppress(ProcessLookupError):
        while time.monotonic() < give_up:
            os.killpg(process.pid, 0)
            await asyncio.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
