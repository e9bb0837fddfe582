"""Plays against the hosts under test, as an operator would start them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCENARIO = Path(__file__).resolve().parents[1]
CONVERGE = SCENARIO.parent / "resources/converge.yml"
PLAY_SECONDS = 420

Play = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def play(request: pytest.FixtureRequest) -> Play:
    """Run a playbook (the converge unless named) with variables; a failed test shows the output."""
    inventory = request.config.getoption("ansible_inventory")

    def run(*options: str, playbook: Path = CONVERGE, **variables: Any) -> subprocess.CompletedProcess[str]:
        command = ["ansible-playbook", "-i", inventory, "-e", json.dumps(variables), *options, str(playbook)]
        done = subprocess.run(
            command,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PLAY_SECONDS,
        )
        print(done.stdout[-6000:], done.stderr[-2000:])
        return done

    return run
