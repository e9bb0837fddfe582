"""What the commands share: options, reading the configuration, how they end.

Typer imports the modules of all groups before it knows which command was meant. What is heavy (everything
that needs a library) is therefore imported inside the functions, here and in the groups.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from composer_mcp.places import DEFAULT_CONFIG, USER_CONFIG

if TYPE_CHECKING:
    from composer_mcp.settings import Credentials, Settings

#: What every command ends with; the same table stands in ``docs/operations.md``.
EXIT_CODES = {
    0: "done",
    1: "failed: a check, a migration, a service, or what was asked for was refused",
    2: "wrong usage or configuration; nothing was begun",
}

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
    from composer_mcp.observability import logs
    from composer_mcp.settings import find_config, load

    if slot is not None:
        os.environ["COMPOSER_MCP__WEB__SLOT"] = slot
    settings = load(config or find_config(), bind=bind)
    logs.configure(settings.log)
    return settings


def secrets(settings: Settings, folder: Path | None) -> Credentials:
    """Find the secrets of this server."""
    from composer_mcp.settings import Credentials

    return Credentials.find(folder, settings.state / "credentials" if settings.alone else None)


def print_json(document: Any) -> None:
    """Print one JSON document; what it does not know, such as a time, as text."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Say on a terminal what is being done, until it is done; say nothing anywhere else."""
    if not sys.stderr.isatty():
        yield
        return
    typer.echo(f"{what} …", err=True, nl=False)
    try:
        yield
    finally:
        # Back to the beginning of the line, and nothing left on it.
        typer.echo("\r\x1b[K", err=True, nl=False)


def fail_if(reason: str | None) -> None:
    """End with exit code 1 if there is a reason to."""
    if reason is not None:
        fail(reason)


def fail(message: str) -> NoReturn:
    """End with exit code 1, saying why."""
    from composer_mcp.observability.masking import redact

    typer.echo(f"composer-mcp: {redact(message)}", err=True)
    raise typer.Exit(1)
