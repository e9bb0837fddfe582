"""The command line explains itself, and starts nothing that would be unsafe."""

from __future__ import annotations

import sys
from pathlib import Path

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
    for word in ("serve", "worker", "migrate", "check", "drain", "version", "Exit codes"):
        assert word in shown


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "check", "drain"])
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
