"""A server that runs alone has a trail too, which its user can read and verify while it runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .support.alone import Alone

COMPOSER = {"project_uid": "project", "connector_uid": "connector"}
SECRETS = {"composer-token": "header.payload.signature", "composer-project-key": "0" * 32}


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    return Alone(tmp_path, COMPOSER, {}, SECRETS)


def test_the_trail_of_a_server_alone(alone: Alone, tmp_path: Path) -> None:
    token = alone.run("token", "--minutes", "5").strip()
    point = alone.run("audit", "checkpoint").strip()
    assert json.loads(alone.run("audit", "verify", "--json"))["ok"]
    (made,) = json.loads(alone.run("audit", "list", "--json"))["entries"]
    assert made["action"] == "token.made" and made["actor"].startswith("cli:")
    assert token not in json.dumps(made) and made["details"]["minutes"] == 5

    archived = alone.run("audit", "archive", "--before", "2100-01-01", "--to", f"{tmp_path}/old")
    assert "entries 1 to 1" in archived
    told = json.loads(
        alone.run("audit", "verify", "--json", "--against", point, "--archive", f"{tmp_path}/old")
    )
    assert told["ok"] and [part["last"] for part in told["parts"]] == [1, 2]
