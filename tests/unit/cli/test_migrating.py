"""composer-mcp migrate on a server that runs alone: status, a look ahead, forward, back."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from composer_mcp.cli import cli
from composer_mcp.errors.kinds import ConfigurationError
from composer_mcp.store import migrate

NEWEST = migrate.known("sqlite_migrations")[-1].version


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    (tmp_path / "config.toml").write_text(
        f'state_directory = "{folder}"\n[composer]\nproject_uid = "p"\nconnector_uid = "c"\n'
    )
    return folder


def run(state: Path, *words: str) -> Any:
    done = CliRunner().invoke(
        cli, ["migrate", *words, "--config", str(state.parent / "config.toml"), "--json"]
    )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_it_goes_forward_and_back_and_says_where_it_is(state: Path) -> None:
    assert run(state, "--status")["version"] == 0
    done = run(state)
    assert done["changed"] and done["version"] == NEWEST and len(done["steps"]) > 2
    assert run(state) == {"changed": False, "version": NEWEST, "steps": []}
    status = run(state, "--status")
    assert status["version"] == NEWEST and status["pending"] == []
    assert all(entry["applied_at"] for entry in status["migrations"])
    assert run(state, "--to", "1", "--back")["version"] == 1
    assert run(state, "--status")["pending"][0] == 2


def test_a_look_ahead_prints_sql_that_does_the_same_and_changes_nothing(state: Path) -> None:
    ahead = run(state, "--dry-run")
    assert not (state / "composer.sqlite3").exists()
    run(state, "--to", "0")
    with sqlite3.connect(state / "composer.sqlite3") as connection:
        connection.executescript(ahead["sql"])
    connection.close()
    assert run(state, "--status")["pending"] == []
    back = run(state, "--to", "1", "--dry-run")
    assert back["back"] == [each.version for each in reversed(migrate.known("sqlite_migrations"))][:-1]
    assert "drop table composition;" in back["sql"] and run(state, "--status")["version"] == NEWEST


def test_going_back_is_refused_until_it_is_meant_and_while_it_would_lose_something(state: Path) -> None:
    run(state)
    with pytest.raises(ConfigurationError, match=r"--back\. Nothing was changed"):
        run(state, "--to", "1")
    with sqlite3.connect(state / "composer.sqlite3") as connection:
        connection.execute(
            "insert into composition values (x'01', 't', 'u', '', '', '', '[]', '[]', '', 1.0, 1.0, null)"
        )
    connection.close()
    with pytest.raises(ConfigurationError, match=r"table composition \(1 rows\).*--lose-data"):
        run(state, "--to", "1", "--back")
    assert run(state, "--status")["version"] == NEWEST
    assert run(state, "--to", "1", "--back", "--lose-data")["version"] == 1


def test_a_running_server_is_not_changed_below_its_feet(state: Path) -> None:
    from composer_mcp.alone.directory import StateDirectory

    with (
        StateDirectory(state).lock(),
        pytest.raises(ConfigurationError, match="in use by process"),
    ):
        run(state)
