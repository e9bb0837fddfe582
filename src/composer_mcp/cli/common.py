"""What the commands share: options, reading the configuration, how they end.

Exit codes: 0 done, 1 failed (a check, a migration, a service), 2 wrong usage or configuration.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from composer_mcp.observability import logs
from composer_mcp.settings import DEFAULT_CONFIG, USER_CONFIG, Credentials, Settings, find_config, load

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help=f"configuration file (TOML, without secrets); when left out {DEFAULT_CONFIG}, else "
        f"~/.config/{USER_CONFIG}",
    ),
]
Secrets = Annotated[
    Path | None,
    typer.Option(
        "--credentials",
        help="folder with one file per secret; when left out systemd's $CREDENTIALS_DIRECTORY, and for a "
        "server that runs alone the folder credentials in its state directory",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


def prepare(config: Path | None, slot: str | None = None, bind: str | None = None) -> Settings:
    """Read the configuration, and let log lines go where it says."""
    if slot is not None:
        os.environ["COMPOSER_MCP__WEB__SLOT"] = slot
    settings = load(config or find_config(), bind=bind)
    logs.configure(settings.log)
    return settings


def secrets(settings: Settings, folder: Path | None) -> Credentials:
    """Find the secrets of this server."""
    return Credentials.find(folder, settings.state / "credentials" if settings.alone else None)


def fail_if(reason: str | None) -> None:
    """End with exit code 1 if there is a reason to."""
    if reason is not None:
        fail(reason)


def fail(message: str) -> NoReturn:
    """End with exit code 1, saying why."""
    typer.echo(f"composer-mcp: {logs.redact(message)}", err=True)
    raise typer.Exit(1)
