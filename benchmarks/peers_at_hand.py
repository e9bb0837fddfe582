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
            [
                uv,
                "pip",
                "install",
                "--system-certs",
                "--quiet",
                "--require-hashes",
                "--python",
                str(python),
                "-r",
                str(lock),
            ],
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


def redis_at_hand(say: Callable[[str], None]) -> tuple[Path, dict[str, str]]:
    """Return Debian's ``redis-server`` and the environment that it needs.

    Where it is not installed, its packages are unpacked under .cache/bench: nothing is installed on the
    machine, and no service is started.

    Raises:
        PeerMissing: it cannot be had.
    """
    installed = shutil.which("redis-server")
    if installed is not None:
        return Path(installed), {}
    folder = ENVIRONMENTS / "redis"
    program = folder / "usr/bin/redis-server"
    if not program.exists():
        say("unpacking Debian's redis-server (once)")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            for package in _missing_packages("redis-server"):
                _run(["apt-get", "--quiet", "download", package], folder)
            for archive in sorted(folder.glob("*.deb")):
                _run(["dpkg-deb", "--extract", str(archive), str(folder)], folder)
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            reason = getattr(error, "stderr", "") or str(error)
            raise PeerMissing(f"redis-server cannot be had here: {reason.strip()[-300:]}") from error
    libraries = sorted({str(path.parent) for path in folder.glob("usr/lib/**/*.so*")})
    return program, {"LD_LIBRARY_PATH": ":".join(libraries)}


def _missing_packages(package: str) -> list[str]:
    """What apt would have to install for a package, itself included."""
    command = ["apt-get", "--simulate", "--no-install-recommends", "install", package]
    lines = _run(command, ROOT).splitlines()
    return [line.split()[1] for line in lines if line.startswith("Inst ")]


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, check=True, timeout=INSTALL_SECONDS, capture_output=True, text=True
    )
    return done.stdout
