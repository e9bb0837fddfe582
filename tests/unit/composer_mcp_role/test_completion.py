"""What the role installs for bash completes what the program takes, also where a colon is in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INSTALLED = "roles/composer_mcp/files/usr/share/bash-completion/completions/composer-mcp"
SCRIPT = Path(__file__).resolve().parents[3] / INSTALLED
ASK = 'source "$1"; COMP_LINE=$3; COMP_POINT=${#3}; _composer_mcp "$2"; printf "%s\\n" "${COMPREPLY[@]}"'


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("composer-mcp wor", ["worker"]),
        ("composer-mcp drain --slot g", ["green"]),
        ("composer-mcp config set log.level d", ["debug"]),
        # To bash the word begins after the colon.
        ("composer-mcp token --scope compositions:r", ["read"]),
        ("composer-mcp token --scope compositions:read --minutes 5 --co", ["--config"]),
    ],
)
def test_bash_is_offered_what_fits(typed: str, offered: list[str]) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    program = str(Path(sys.executable).with_name("composer-mcp"))
    done = subprocess.run(
        [bash, "--norc", "-c", ASK, "bash", str(SCRIPT), program, typed],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == offered and not done.stderr
