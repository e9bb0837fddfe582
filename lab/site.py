"""Runs Ansible's site.yml against the lab, shows where it is, and reads what it changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab import config, hosts, images
from lab.machine import PROJECT
from lab.problem import Problem

#: Of one host at one task. The whole has no limit: a slow machine takes long, and that is no fault.
SILENCE_SECONDS = 1200
# What ansible-playbook ends with when it received Ctrl-C, as everything in the terminal does.
INTERRUPTED = 99
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)")
HEADLINE = re.compile(r"^(PLAY|TASK|RUNNING HANDLER) \[(.*?)\] \*+$")


@dataclass
class Outcome:
    """What the run did."""

    changed: dict[str, int] = field(default_factory=dict)
    tasks: int = 0

    @property
    def total(self) -> int:
        """Changes on all hosts."""
        return sum(self.changed.values())


def parse(line: str, outcome: Outcome) -> tuple[str, str] | None:
    """Count what a line of Ansible's output tells; return (kind, name) when it is a headline."""
    recap = RECAP.match(line)
    if recap:
        outcome.changed[recap[1]] = int(recap[3])
    headline = HEADLINE.match(line)
    if not headline:
        return None
    if headline[1] != "PLAY":
        outcome.tasks += 1
    return headline[1], headline[2]


def converge(lab: config.Lab, say: Callable[[str], None], waiting: Callable[[str], None]) -> Outcome:
    """Run site.yml with inventories/lab.

    Raises:
        Problem: a task failed, with the end of its output, or nothing was heard for SILENCE_SECONDS.
    """
    lab.out.mkdir(parents=True, exist_ok=True)
    log_path = lab.out / "site.log"
    outcome = Outcome()
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "site.yml", "-i", "inventories/lab"]
    with log_path.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment(lab), text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        guard = _guard(process)
        try:
            for line in process.stdout or ():
                guard.cancel()
                guard = _guard(process)
                log.write(line)
                headline = parse(line.rstrip(), outcome)
                if headline and headline[0] == "PLAY":
                    say(headline[1])
                if headline:
                    waiting(f"task {outcome.tasks}: {headline[1]}")
            status = process.wait()
        finally:
            guard.cancel()
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=30)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if status != 0:
        raise _failed(status, log_path)
    return outcome


def environment(lab: config.Lab) -> dict[str, str]:
    """What ansible-playbook needs for the lab: where it is, how the archive is reached, plain output."""
    return {
        **os.environ,
        **lab.environment(),
        "LAB_ARCHIVE_PORTS": ",".join(map(str, images.archive_ports())),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(_connections(lab)),
    }


def _guard(process: subprocess.Popen[str]) -> threading.Timer:
    """End a run that says nothing for too long."""
    guard = threading.Timer(SILENCE_SECONDS, process.kill)
    guard.daemon = True
    guard.start()
    return guard


def _connections(lab: config.Lab) -> Path:
    """Where ssh keeps its connections: in another folder after hosts were made anew.

    A kept connection to the host that had this address before would make the new one seem unreachable.
    The path must be short, because the kernel limits it; the lab's own folder may lie too deep.
    """
    return forget_connections(lab) / f"{lab.name}-{hosts.generation(lab.label)}"


def forget_connections(lab: config.Lab) -> Path:
    """Remove the folders of kept connections that no process uses any more; return the folder they are in."""
    parent = Path.home() / ".ansible" / "cp"
    for old in parent.glob(f"{lab.name}-????????"):
        if not any(old.iterdir()):
            old.rmdir()
    return parent


def _failed(status: int, log: Path) -> Problem:
    shown = log.relative_to(PROJECT)
    lines = log.read_text(encoding="utf-8").splitlines()
    if status < 0:
        happened = f"site.yml was stopped: it said nothing for {SILENCE_SECONDS // 60} minutes."
    else:
        happened = "site.yml failed:\n" + "\n".join(failure(lines))
    return Problem(
        happened,
        "The platform is incomplete without it.",
        f"The whole output is in {shown}. Mend the cause, then run `make lab` again: it continues.",
        "The hosts are up; what was configured before the failure stays. `make lab-down` removes everything.",
    )


def failure(lines: list[str], limit: int = 25) -> list[str]:
    """The part of Ansible's output that tells about the first failure: its task and the message."""
    for number, line in enumerate(lines):
        if line.startswith(("fatal:", "[ERROR]", "ERROR!", "failed:")):
            start = next((i for i in range(number, -1, -1) if HEADLINE.match(lines[i])), number)
            return [text for text in lines[start : number + limit] if text.strip()][:limit]
    return lines[-limit:]
