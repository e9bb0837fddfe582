"""The environments of the peers: made on demand under .cache/bench, from locks with a hash for every file."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".cache/bench"
LOCKS = Path(__file__).with_name("peers")
INSTALL_SECONDS = 300


class PeerMissing(Exception):
    """A peer cannot be installed here; its last recorded figures are shown instead."""


def python_of(name: str, say: Callable[[str], None]) -> Path:
    """Return the interpreter of a peer's environment, which is made if it is missing or its lock has changed.

    Raises:
        PeerMissing: it could not be installed.
    """
    lock = LOCKS / f"{name}.txt"
    folder = ENVIRONMENTS / name
    mark = folder / ".lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    python = folder / "bin/python"
    if mark.is_file() and mark.read_text(encoding="ascii") == digest:
        return python
    say(f"installing {name} from {lock.relative_to(ROOT)} (once)")
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    try:
        for command in (
            [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(python), "-r", str(lock)],
        ):
            subprocess.run(command, check=True, timeout=INSTALL_SECONDS, capture_output=True, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        raise PeerMissing(f"{name} could not be installed here: {reason.strip()[-300:]}") from error
    mark.write_text(digest, encoding="ascii")
    return python


def version_of(python: Path, package: str) -> str:
    """The version of a package in an environment."""
    program = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([python, "-c", program], check=True, timeout=60, capture_output=True, text=True)
    return done.stdout.strip()
