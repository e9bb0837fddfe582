"""What the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = ("composer-mcp", "mcp", "gunicorn", "starlette", "pydantic", "asyncpg", "pgqueuer")


def _from(path: str, key: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith(key):
            return line.split(":", 1)[-1].split("=", 1)[-1].strip().strip('"')
    return "unknown"


def facts() -> dict[str, str]:
    """Processor, cores, memory, system; how busy it was when we looked."""
    memory = int(_from("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    return {
        "processor": _from("/proc/cpuinfo", "model name"),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "system": _from("/etc/os-release", "PRETTY_NAME"),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "load when it began": f"{os.getloadavg()[0]:.1f}",
    }


def versions() -> dict[str, str]:
    """Of what we run ourselves, and of the database."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if programs:
        done = subprocess.run(
            [programs[-1], "--version"], capture_output=True, text=True, check=True, timeout=20
        )
        found["PostgreSQL"] = (
            done.stdout.split()[-1].strip("()") if ")" not in done.stdout else done.stdout.split()[2]
        )
    return found
