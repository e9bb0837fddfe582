"""The program that fetches a host's secrets: all or nothing, and a clear word when it is nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import hvac
import pytest

from tests.unit.host_programs import load

PROGRAM = Path(__file__).parents[3] / "roles/secrets/files/usr/local/lib/composer-secrets/fetch"
SECRETS = {
    "composer/data/database/composer": {"password": "first-secret"},
    "composer/data/service/account": {"token": "second-secret", "key": "third-secret"},
}


class StandInClient:
    """hvac's client as far as the program uses it."""

    refusal: Exception | None = None
    revoked: int = 0

    def __init__(self, url: str, verify: str, timeout: int) -> None:
        self.auth = self
        self.approle = self

    def login(self, role_id: str, secret_id: str) -> None:
        if self.refusal:
            raise self.refusal

    def read(self, path: str) -> dict[str, Any] | None:
        return {"data": {"data": SECRETS[path]}} if path in SECRETS else None

    def logout(self, revoke_token: bool) -> None:
        type(self).revoked += revoke_token


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load(PROGRAM)
    for name, file in {
        "CONFIGURATION": "fetch.json",
        "IDENTITY": "identity.json",
        "DESTINATION": "run",
    }.items():
        monkeypatch.setattr(module, name, tmp_path / file)
    monkeypatch.setattr(module.hvac, "Client", StandInClient)
    monkeypatch.setattr(StandInClient, "refusal", None)
    monkeypatch.setattr(StandInClient, "revoked", 0)
    (tmp_path / "identity.json").write_text('{"role_id": "r", "secret_id": "s"}')
    return module


def declare(program: ModuleType, *files: tuple[str, str, str]) -> None:
    configuration = {
        "url": "https://bao.example.org:8200",
        "authority": "/a",
        "mount": "composer",
        "wait_seconds": 0,
    }
    configuration["files"] = [{"name": name, "path": path, "field": field} for name, path, field in files]
    program.CONFIGURATION.write_text(json.dumps(configuration))


PASSWORD = ("database-password", "database/composer", "password")
TOKEN = ("composer-token", "service/account", "token")


def present(program: ModuleType) -> dict[str, str]:
    return {file.name: file.read_text() for file in program.DESTINATION.iterdir()}


def test_each_secret_becomes_a_file_that_only_its_owner_reads(program, capsys):
    declare(program, PASSWORD, TOKEN)
    assert program.main() == 0
    assert present(program) == {"database-password": "first-secret", "composer-token": "second-secret"}
    assert {file.stat().st_mode & 0o777 for file in program.DESTINATION.iterdir()} == {0o400}
    assert program.DESTINATION.stat().st_mode & 0o777 == 0o700
    said = "".join(capsys.readouterr())
    assert "updated composer-token, database-password" in said
    assert "secret" not in said.replace("composer-secrets", "")


def test_a_second_fetch_touches_nothing(program, capsys):
    declare(program, PASSWORD)
    program.main()
    before = (program.DESTINATION / "database-password").stat().st_ino
    assert program.main() == 0
    assert (program.DESTINATION / "database-password").stat().st_ino == before
    assert "all secrets are current" in capsys.readouterr().out


def test_a_secret_that_is_no_longer_listed_goes(program):
    declare(program, PASSWORD, TOKEN)
    program.main()
    declare(program, PASSWORD)
    program.main()
    assert present(program) == {"database-password": "first-secret"}


def test_all_that_is_missing_is_named_and_nothing_is_written(program, capsys):
    declare(program, PASSWORD, ("a", "service/account", "colour"), ("b", "nowhere", "value"))
    assert program.main() == 2
    told = capsys.readouterr().err
    assert "path service/account field colour missing" in told
    assert "path nowhere field value missing" in told
    assert not program.DESTINATION.exists()


def test_the_token_is_given_back_even_when_a_secret_is_missing(program):
    declare(program, ("b", "nowhere", "value"))
    program.main()
    assert StandInClient.revoked == 1


def test_a_refused_identity_needs_an_operator(program, capsys):
    declare(program, PASSWORD)
    StandInClient.refusal = hvac.exceptions.InvalidRequest("invalid role or secret ID")
    assert program.main() == 2
    assert "--tags secrets" in capsys.readouterr().err


def test_a_sealed_server_is_worth_another_try(program, capsys):
    declare(program, PASSWORD)
    StandInClient.refusal = hvac.exceptions.VaultDown("OpenBao is sealed")
    assert program.main() == 1
    assert "did not serve within 0 s" in capsys.readouterr().err


def test_a_host_without_identity_is_told_how_to_get_one(program, capsys):
    declare(program, PASSWORD)
    program.IDENTITY.unlink()
    assert program.main() == 2
    assert "this host has no identity" in capsys.readouterr().err
