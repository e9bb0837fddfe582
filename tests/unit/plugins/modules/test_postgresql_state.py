"""What a declared database state makes the server do, shown on one that only remembers statements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.euconquisto.composer.plugins.module_utils import scram
from ansible_collections.euconquisto.composer.plugins.modules.postgresql_state import (
    DEFAULTS,
    PostgresError,
    State,
)


class RememberingServer:
    """Answers queries from a description and remembers statements."""

    def __init__(self) -> None:
        self.roles: dict[str, Any] = {}
        self.database: dict[str, Any] = {
            "owner": None,
            "public": True,
            "connect": None,
            "errors": [],
            "access_errors": [],
        }
        self.privileges: dict[str, Any] = {"usage": False, "public": True, "defaults": []}
        self.statements: list[str] = []

    def run(self, sql: str, database: str = "postgres") -> str:
        self.statements.append(sql)
        return ""

    def query(self, sql: str, database: str = "postgres") -> Any:
        if "pg_authid" in sql:
            return self.roles
        return self.database if "pg_file_settings" in sql else self.privileges


@pytest.fixture
def server() -> RememberingServer:
    return RememberingServer()


@pytest.fixture
def finished(server: RememberingServer) -> RememberingServer:
    """A server on which all is as declared."""
    server.roles = {
        "composer": {"password": scram.make("pass-of-composer"), "login": True},
        "composer_owner": {"password": scram.make("pass-of-owner"), "login": True},
    }
    server.database |= {"owner": "composer_owner", "public": False, "connect": True}
    server.privileges = {"usage": True, "public": False, "defaults": sorted(DEFAULTS)}
    return server


@pytest.fixture
def params(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "composer").write_text("pass-of-composer")
    (tmp_path / "owner").write_text("pass-of-owner")
    return {
        "database": "composer",
        "owner": "composer_owner",
        "user": "composer",
        "passwords": [
            {"role": "composer_owner", "file": str(tmp_path / "owner")},
            {"role": "composer", "file": str(tmp_path / "composer")},
        ],
    }


def test_no_statement_holds_a_password(server, params):
    State(server, params, check_mode=False).apply()
    sent = "\n".join(server.statements)
    assert "create role composer login password 'SCRAM-SHA-256$" in sent
    assert "pass-of" not in sent


def test_nothing_is_sent_when_all_is_as_declared(finished, params):
    state = State(finished, params, check_mode=False)
    state.apply()
    assert finished.statements == []
    assert state.after == {}


def test_a_changed_password_is_noticed(finished, params, tmp_path):
    (tmp_path / "composer").write_text("rotated")
    state = State(finished, params, check_mode=False)
    state.apply()
    assert list(state.after) == ["password of composer"]
    [statement] = finished.statements
    verifier = statement.split("'")[1]
    assert scram.matches(verifier, "rotated")


def test_check_mode_sends_no_statement(server, params):
    state = State(server, params, check_mode=True)
    state.apply()
    assert server.statements == []
    assert "database composer" in state.after


def test_an_error_in_the_configuration_files_stops_with_its_line(finished, params):
    finished.database["access_errors"] = ["pg_hba.conf:7: invalid IP mask"]
    with pytest.raises(PostgresError, match=r"pg_hba\.conf:7: invalid IP mask"):
        State(finished, params, check_mode=False).apply()


def test_a_missing_password_file_says_where_it_should_come_from(server, params):
    params["passwords"][0]["file"] = "/nowhere/database-owner-password"
    with pytest.raises(PostgresError, match=r"composer-secrets\.service"):
        State(server, params, check_mode=False)
