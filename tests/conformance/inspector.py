"""The protocol's inspector as a command-line client."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools import node

LIMIT_SECONDS = 60


def inspect(home: Path, target: Sequence[str], method: str, *options: str) -> dict[str, Any]:
    """Run one method against a server and return its result; ``target`` says how the server is reached.

    ``home`` is the folder where the inspector would keep its own files.
    """
    command = [
        *node.program("mcp-inspector"), "--cli", *target, "--method", method, "--format", "json", *options,
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env={**node.environment(), "HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{method} failed with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
