"""python -m tools.lock: resolves the dependency locks anew.

The locks are requirement files with a hash for every file, for every platform, without the name of any index:
whoever installs from them may use a mirror, a proxy or a folder of wheels.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.corescheck import CORES

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = "3.11"
LIMIT_SECONDS = 600
# What the controller and the tests need; what a release needs, in the versions that were tested.
LOCKS: Mapping[str, Sequence[str]] = {
    "requirements/dev.txt": ("--group", "dev", "pyproject.toml"),
    "requirements/server.txt": ("--constraint", "requirements/dev.txt", "pyproject.toml"),
    # Peers of the benches, and the cores that the collection is tested with, in environments of their own.
    **{f"{name}.txt": (f"{name}.in",) for name in ("benchmarks/peers/fastmcp", "benchmarks/peers/devsec")},
    **{
        f"requirements/cores/{core}.txt": (f"requirements/cores/{core}.in", "--python-version", "3.13")
        for core in CORES
    },
}


def command(name: str, *, upgrade: bool) -> list[str]:
    """The uv command that writes one lock."""
    return [
        "uv",
        "pip",
        "compile",
        "--system-certs",
        "--universal",
        *([] if "--python-version" in LOCKS[name] else ["--python-version", OLDEST_PYTHON]),
        "--generate-hashes",
        "--no-header",
        "--no-emit-index-url",
        *LOCKS[name],
        *(["--upgrade"] if upgrade else []),
        "--output-file",
        name,
        "--quiet",
    ]


def main(words: Sequence[str]) -> int:
    """Write the locks; with `--upgrade` to the newest versions, else only what is demanded now."""
    for name in LOCKS:
        print(f"lock: {name} …", flush=True)
        done = subprocess.run(
            command(name, upgrade="--upgrade" in words), cwd=ROOT, timeout=LIMIT_SECONDS, check=False
        )
        if done.returncode != 0:
            print(
                f"lock: {name} could not be resolved (uv's reason stands above).\n"
                "      Without it the next `make setup` would install other versions than the ones tested.\n"
                "      Mend what it is made from, or the way to the package index, and repeat `make lock`.\n"
                "      The old lock is unchanged.",
                file=sys.stderr,
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
