"""The third party's machine: Composer as the lab's hosts see it, in a container of its own on a network of its own.

It has its own authority and certificate, and nothing of ours: no key, no address list, no folder but its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lab import config, hosts
from lab.machine import CACHE, PROJECT, podman, run

CODE = PROJECT / "tests" / "composer_standin"
LIBRARIES = ("starlette", "uvicorn", "python-multipart", "pyjwt")
PYTHON_VERSION = "3.13"  # of the hosts' Debian
DAYS = 365
START_SECONDS = 30
NOBODY = "65534:65534"


def folder(lab: config.Lab) -> Path:
    """What the third party gave us: its authority, and our account's token and project key."""
    return lab.state / "composer"


def stand_up(lab: config.Lab, say: Callable[[str], None]) -> None:
    """Start the stand-in when it is not running, and wait until it answers."""
    _account(lab)
    _certificate(lab)
    state = hosts.containers(lab.label).get(lab.standin)
    if state != "running":
        if state in ("exited", "stopped"):
            podman("start", lab.standin)
        else:
            hosts.remove([lab.standin])
            _start(lab)
        _wait(lab)
        say(f"started as {lab.standin}: {', '.join(config.STANDIN_NAMES)}")


def _libraries() -> Path:
    """The libraries that the stand-in imports, for the containers' Python, at the versions of the server's lock."""
    target = CACHE / f"standin-{PYTHON_VERSION}"
    lock = PROJECT / "requirements" / "server.txt"
    stamp = target / ".complete"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        run(["rm", "-rf", target])
        run(
            ["uv", "pip", "install", "--quiet", "--target", target, "--python-version", PYTHON_VERSION,
             "--only-binary", ":all:", "--constraints", lock, *LIBRARIES],
            timeout=300,
        )  # fmt: skip
        stamp.touch()
    return target
