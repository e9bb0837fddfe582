"""The command line explains itself, and starts nothing that would be unsafe."""

from __future__ import annotations

import sys
from pathlib import Path

import jwt
import pytest
from typer.testing import CliRunner

from composer_mcp import cli
from composer_mcp.settings import ConfigurationError

MINIMAL = """
public_url = "https://composer.lab.test/mcp"
allowed_hosts = ["composer.lab.test"]
[web]
drain_file = "{folder}/drain"
[database]
hosts = ["127.0.0.1:5432"]
[object_store]
url = "file://{folder}/artifacts"
[[issuers]]
issuer = "https://issuer.test"
jwks_url = "https://issuer.test/keys"
audience = "https://composer.lab.test/mcp"
[composer]
project_uid = "project"
connector_uid = "connector"
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.toml"
    path.write_text(MINIMAL.format(folder=tmp_path))
    return str(path)


def test_help_shows_every_command_and_the_exit_codes() -> None:
    shown = CliRunner().invoke(cli.cli, ["--help"]).output
    for word in ("serve", "stdio", "token", "worker", "migrate", "check", "drain", "Exit codes"):
        assert word in shown


@pytest.mark.parametrize("command", ["serve", "stdio", "token", "worker", "migrate", "check", "drain"])
def test_help_of_a_command_has_an_example(command: str) -> None:
    shown = CliRunner().invoke(cli.cli, [command, "--help"])
    assert shown.exit_code == 0 and f"Example: composer-mcp {command}" in shown.output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--certificate and --authority are required"),
        (["--certificate", "host.crt"], "--certificate and --authority are required"),
        (["--plain-text", "--bind", "0.0.0.0:8101"], "on 127.0.0.1 only"),
    ],
)
def test_nothing_is_served_without_encryption(config: str, arguments: list[str], reason: str) -> None:
    refused = CliRunner().invoke(cli.cli, ["serve", "--config", config, *arguments])
    assert isinstance(refused.exception, ConfigurationError) and reason in str(refused.exception)


def test_draining_leaves_its_mark(config: str, tmp_path: Path) -> None:
    assert CliRunner().invoke(cli.cli, ["drain", "--config", config, "--wait", "0"]).exit_code == 0
    assert (tmp_path / "drain").exists()


def test_a_wrong_configuration_ends_with_code_2_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["composer-mcp", "worker", "--config", str(tmp_path / "none.toml")])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("composer-mcp: the configuration") and "Traceback" not in told


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", str(tmp_path))
    # --slot sets it for the rest of the process.
    monkeypatch.setenv("COMPOSER_MCP__WEB__SLOT", "blue")
    path = tmp_path / "config.toml"
    path.write_text(
        f'state_directory = "{tmp_path}/state"\n[composer]\nproject_uid = "p"\nconnector_uid = "c"\n'
    )
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["serve", "--certificate", "host.crt"], "this server would run alone"),
        (["serve", "--slot", "green"], "this server would run alone"),
        (["serve", "--bind", "0.0.0.0:8101"], "on this machine only"),
        (["serve", "--bind", "8101"], "on this machine only"),
        (["serve"], "composer-token is missing"),
        (["stdio"], "composer-token is missing"),
        (["worker"], "needs a database"),
        (["token", "--scope", "compositions:wirte"], "compositions:wirte. Known: accounts:manage, audit"),
        (["user", "add", "lib", "--role", "teacher", "--issuer", "https://x.test"], "Trusted: urn:"),
    ],
)
def test_what_does_not_fit_a_server_alone_is_refused(alone: str, arguments: list[str], reason: str) -> None:
    refused = CliRunner().invoke(cli.cli, [*arguments, "--config", alone])
    assert isinstance(refused.exception, ConfigurationError), refused.output
    assert reason in str(refused.exception)


@pytest.mark.parametrize("command", ["stdio", "token"])
def test_a_platforms_configuration_is_not_for_a_server_alone(config: str, command: str) -> None:
    refused = CliRunner().invoke(cli.cli, [command, "--config", config])
    assert isinstance(refused.exception, ConfigurationError) and "runs alone" in str(refused.exception)


def test_a_token_is_printed_with_what_was_asked_for(alone: str) -> None:
    arguments = ["--scope", "jobs:read", "--scope", "compositions:read", "--minutes", "5", "--config", alone]
    printed = CliRunner().invoke(cli.cli, ["token", *arguments]).stdout.strip()
    claims = jwt.decode(printed, options={"verify_signature": False})
    assert claims["scope"] == "compositions:read jobs:read" and claims["tenant"] == "local"
    assert claims["exp"] - claims["iat"] == 300


def test_a_service_account_of_a_server_alone_gets_a_token_for_what_its_role_grants(alone: str) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(cli.cli, [*words, "--config", alone])
        return done.stdout.strip() if done.exception is None else str(done.exception)

    run("user", "add", "lib", "--kind", "service", "--role", "reader")
    claims = jwt.decode(run("token", "--account", "lib"), options={"verify_signature": False})
    assert (claims["sub"], claims["tenant"], claims["jti"] != "") == ("lib", "local", True)
    assert claims["scope"] == "compositions:read jobs:read"
    refused = run("token", "--account", "lib", "--scope", "compositions:write")
    assert "cannot have the scope compositions:write. Known: compositions:read, jobs:read" in refused
    assert "no account nobody" in run("token", "--account", "nobody")
    run("user", "disable", "lib")
    assert "user enable lib" in run("token", "--account", "lib")


def test_without_any_configuration_a_server_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr("composer_mcp.settings.model.DEFAULT_CONFIG", tmp_path / "none.toml")
    for command in ("serve", "worker", "stdio"):
        refused = CliRunner().invoke(cli.cli, [command])
        assert isinstance(refused.exception, ConfigurationError)
        assert "there is no configuration" in str(refused.exception)
