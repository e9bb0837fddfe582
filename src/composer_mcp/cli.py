"""The command line. Each command reads the configuration, says what is wrong with it, and hands over.

Exit codes: 0 done, 1 failed (a check, a migration, a service), 2 wrong usage or configuration.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import composer_mcp
from composer_mcp.errors import ComposerError
from composer_mcp.observability import logs, process
from composer_mcp.settings import DEFAULT_CONFIG, PORTS, ConfigurationError, Credentials, Settings, load

if TYPE_CHECKING:
    from collections.abc import Callable

cli = typer.Typer(
    name="composer-mcp",
    help=__doc__.replace(
        "The command line. Each command reads", "Create and edit compositions over MCP. Each command reads"
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[Path, typer.Option("--config", help="configuration file (TOML, without secrets)")]
Secrets = Annotated[
    Path | None,
    typer.Option(
        "--credentials",
        help="folder with one file per secret; systemd's $CREDENTIALS_DIRECTORY when left out",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


def _prepare(config: Path, slot: str | None = None) -> Settings:
    if slot is not None:
        os.environ["COMPOSER_MCP__WEB__SLOT"] = slot
    settings = load(config)
    logs.configure(settings.log)
    return settings


@cli.command(epilog="Example: composer-mcp serve --slot blue --certificate host.crt --authority ca.crt")
def serve(
    config: Config = DEFAULT_CONFIG,
    credentials: Secrets = None,
    slot: Annotated[str | None, typer.Option(help="blue (port 8101) or green (port 8102)")] = None,
    bind: Annotated[
        str | None, typer.Option(help="address:port; all addresses and the slot's port when left out")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="server certificate with its chain; the key is the secret tls.key")
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option(help="authority whose client certificates are let in; all others are refused"),
    ] = None,
    plain_text: Annotated[
        bool, typer.Option("--plain-text", help="no encryption; only on 127.0.0.1, for development")
    ] = False,
) -> None:
    """Answer MCP calls over HTTP."""
    settings = _prepare(config, slot)
    address = bind or ("127.0.0.1" if plain_text else "") + f":{PORTS[settings.web.slot]}"
    if plain_text:
        if not address.startswith(("127.0.0.1:", "localhost:", "[::1]:")):
            raise ConfigurationError(
                "--plain-text is allowed on 127.0.0.1 only, because tokens would be readable."
            )
    elif certificate is None or authority is None:
        raise ConfigurationError(
            "--certificate and --authority are required (or --plain-text for development)."
        )
    if settings.web.drain_file is not None:
        settings.web.drain_file.unlink(missing_ok=True)
    process.prepare(settings)
    from composer_mcp.web import Web

    Web(settings, Credentials.find(credentials), address, certificate, authority).run()


@cli.command(epilog="Example: composer-mcp worker --credentials ./secrets")
def worker(config: Config = DEFAULT_CONFIG, credentials: Secrets = None) -> None:
    """Do jobs with a browser until SIGTERM; jobs under way are finished first."""
    settings = _prepare(config)
    process.prepare(settings)
    from composer_mcp.jobs import worker as jobs

    asyncio.run(jobs.serve(settings, Credentials.find(credentials)))


@cli.command(epilog="Example: composer-mcp migrate --json")
def migrate(config: Config = DEFAULT_CONFIG, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Bring the database schema to this release's version, as the owner's role."""
    settings = _prepare(config)
    import asyncpg

    from composer_mcp.store import database
    from composer_mcp.store import migrate as schema

    password = Credentials.find(credentials).read("database-owner-password")
    try:
        outcome = asyncio.run(schema.migrate(settings.postgresql, password))
    except (*database.UNREACHABLE, asyncpg.PostgresError) as error:
        _fail(
            f"the database refused: {type(error).__name__}: {error}\n"
            "Steps that were done stay done; mend the cause and run it again."
        )
    if as_json:
        typer.echo(
            json.dumps({"changed": bool(outcome.steps), "version": outcome.version, "steps": outcome.steps})
        )
        return
    for step in outcome.steps:
        typer.echo(step)
    typer.echo(f"schema version {outcome.version}" + ("" if outcome.steps else ", nothing to do"))


@cli.command(epilog="Example: composer-mcp check --credentials ./secrets")
def check(config: Config = DEFAULT_CONFIG, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Validate the configuration and reach every dependency; exit 1 if one fails."""
    settings = _prepare(config)
    from composer_mcp import checks

    findings = asyncio.run(checks.run(settings, Credentials.find(credentials)))
    good = all(finding.ok for finding in findings)
    if as_json:
        typer.echo(json.dumps({"ok": good, "checks": [finding.as_dict() for finding in findings]}, indent=2))
    else:
        for finding in findings:
            typer.echo(
                f"{'ok    ' if finding.ok else 'FAILED'}  {finding.name}: {logs.redact(finding.detail)}"
            )
            if finding.remedy:
                typer.echo(f"        {finding.remedy}")
    if not good:
        raise typer.Exit(1)


@cli.command(epilog="Example: composer-mcp drain --wait 5")
def drain(
    config: Config = DEFAULT_CONFIG,
    slot: Annotated[str | None, typer.Option(help="blue or green")] = None,
    wait: Annotated[float, typer.Option(min=0, max=300, help="seconds until the edge has noticed")] = 5,
) -> None:
    """Turn readiness off, so that the edge sends no new calls, and wait; calls under way go on."""
    settings = _prepare(config, slot)
    if settings.web.drain_file is None:
        raise ConfigurationError("web.drain_file is not set, so there is nothing to turn readiness off with.")
    settings.web.drain_file.touch()
    time.sleep(wait)


@cli.command()
def version() -> None:
    """Print the version."""
    typer.echo(composer_mcp.__version__)


def _fail(message: str) -> None:
    typer.echo(f"composer-mcp: {logs.redact(message)}", err=True)
    raise typer.Exit(1)


def main() -> None:
    """Entry point of the console script."""
    run: Callable[[], None] = cli
    try:
        run()
    except ConfigurationError as error:
        typer.echo(f"composer-mcp: {logs.redact(str(error))}", err=True)
        sys.exit(2)
    except ComposerError as error:
        typer.echo(f"composer-mcp: {logs.redact(f'{error.sentence} {error.remedy}')}", err=True)
        sys.exit(1)
