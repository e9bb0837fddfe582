"""`lab up`: from a bare machine to a composition, phase by phase. Each phase can be repeated."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab import config, images, platform, preflight, session, site, standin
from lab.machine import PROJECT, inspect
from lab.problem import Problem
from lab.progress import Progress

TOOL_SECONDS = 900


@dataclass
class Result:
    """What the summary is made of."""

    made: list[str]
    outcome: site.Outcome
    lesson: session.Lesson


def up(lab: config.Lab) -> int:
    """Build, boot, converge, act as a user, and print a summary."""
    progress = Progress(phases=8)
    with _alone(lab):
        try:
            result = _phases(lab, progress)
        except KeyboardInterrupt:
            print(
                f"\nlab: interrupted during `{progress.current}`.\n"
                "     What was finished before stays; nothing is half-written.\n"
                "     `make lab` continues, `make lab-down` removes everything.",
                file=sys.stderr,
            )
            return 130
    _summary(lab, progress, result)
    return 0


def _phases(lab: config.Lab, progress: Progress) -> Result:
    with progress.phase("preflight", f"can this machine carry the lab? ({inspect().kind})"):
        preflight.check(lab)
        lab.out.mkdir(parents=True, exist_ok=True)
        lab.state.chmod(0o700)
    with progress.phase("images", "the Debian system of the hosts"):
        built = images.ensure([config.IMAGE], progress.say)
        progress.say("built" if built else "unchanged")
    with progress.phase("artifacts", "OpenBao and SeaweedFS, checked against their digests"):
        _tool("tools.artifacts", progress.say)
    with progress.phase("bundle", "the server and its dependencies as one offline artifact"):
        _tool("tools.bundle", progress.say)
    with progress.phase("hosts", f"{', '.join(config.HOSTS)} boot as systemd containers"):
        made = platform.stand_up(lab, progress.say)
    with progress.phase("stand-in", "the third party's Composer, in a network of its own"):
        standin.stand_up(lab, progress.say)
    with progress.phase("site.yml", "Ansible configures every host"):
        outcome = site.converge(lab, progress.say, progress.waiting)
        progress.say(", ".join(f"{host}: changed={count}" for host, count in sorted(outcome.changed.items())))
    with progress.phase("session", "a teacher makes a composition through the front door"):
        lesson = session.act(lab, progress.say, progress.waiting)
    return Result(made, outcome, lesson)


def _tool(module: str, say: Callable[[str], None]) -> None:
    """Run one of the project's own tools; it reports its own problems."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", module],
            cwd=PROJECT, capture_output=True, text=True, timeout=TOOL_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Problem(
            f"`python -m {module}` did not finish within {TOOL_SECONDS // 60} minutes.",
            "The hosts install what it fetches.",
            "Check this machine's network, then run `make lab` again.",
            "No host was changed.",
        ) from None
    said = (done.stdout + done.stderr).strip().splitlines()
    if done.returncode != 0:
        raise Problem(
            f"`python -m {module}` failed:\n" + "\n".join(said[-20:]),
            "The hosts install what it fetches.",
            f"Mend that (try `python -m {module}` alone), then run `make lab` again.",
            "No host was changed.",
        )
    for line in said[-2:]:
        say(line)


@contextmanager
def _alone(lab: config.Lab) -> Iterator[None]:
    """Only one process works on a lab at a time."""
    lab.state.mkdir(parents=True, exist_ok=True)
    with (lab.state / "lock").open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Problem(
                f"another `make lab` is at work on this lab (pid {lock.read().strip() or 'unknown'}).",
                "Two at once would undo each other's work.",
                "Wait until it has finished, or stop it with Ctrl-C in its terminal.",
                "Nothing was started by this one.",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _summary(lab: config.Lab, progress: Progress, result: Result) -> None:
    timings = {name: round(seconds, 1) for name, seconds in progress.timings.items()}
    memory = platform.memory(lab)
    figures = {"seconds": timings, "memory_bytes": memory, "changed": result.outcome.changed}
    (lab.out / "timings.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    rows = [
        ("Front door", lab.url),
        ("Its certificate's authority", str(lab.authority.relative_to(PROJECT))),
        ("A user's token", f"make lab-token{lab.arguments}"),
        ("The composition", result.lesson.url),
        ("Its picture", str(result.lesson.picture.relative_to(PROJECT))),
        ("Metrics", f"make lab-metrics HOST=app1{lab.arguments}"),
        ("Log in to a host", f"make lab-ssh HOST=app1{lab.arguments}"),
        ("What is up", f"make lab-status{lab.arguments}"),
        ("Stop and remove", f"make lab-down{lab.arguments}"),
        (
            "Memory of all hosts",
            f"{sum(memory.values()) / 2**30:.1f} GiB" if memory else "not counted by this machine's kernel",
        ),
        ("Seconds", ", ".join(f"{name} {seconds:.0f}" for name, seconds in timings.items())),
    ]
    total = sum(timings.values())
    changed = result.outcome.total
    if changed or result.made:
        print(f"\nThe lab is up after {total:.0f} s.")
    else:
        print(f"\nThe lab was already up: nothing was changed on any host (changed=0), in {total:.0f} s.")
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")
