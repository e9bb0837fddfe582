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
from composer_mcp.alone.defaults import is_local
from composer_mcp.errors import ComposerError
from composer_mcp.observability import logs, process
from composer_mcp.settings import (
    DEFAULT_CONFIG,
    PORTS,
    USER_CONFIG,
    ConfigurationError,
    Credentials,
    Settings,
    find_config,
    load,
)

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


def _prepare(config: Path | None, slot: str | None = None, bind: str | None = None) -> Settings:
    if slot is not None:
        os.environ["COMPOSER_MCP__WEB__SLOT"] = slot
    settings = load(config or find_config(), bind=bind)
    logs.configure(settings.log)
    return settings


def _secrets(settings: Settings, folder: Path | None) -> Credentials:
    return Credentials.find(folder, settings.state / "credentials" if settings.alone else None)


@cli.command(
    epilog="Example: composer-mcp serve --slot blue --certificate host.crt --authority ca.crt; "
    "alone on this machine: composer-mcp serve"
)
def serve(
    config: Config = None,
    credentials: Secrets = None,
    slot: Annotated[str | None, typer.Option(help="blue (port 8101) or green (port 8102)")] = None,
    bind: Annotated[
        str | None,
        typer.Option(
            help="address:port; when left out all addresses and the slot's port, alone 127.0.0.1:8101"
        ),
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
    """Answer MCP calls over HTTP.

    With [database] in the configuration: as part of a platform, encrypted, and workers do the jobs. Without:
    alone, on 127.0.0.1 only, in one process that does the jobs too; composer-mcp token prints a token for it.
    """
    settings = _prepare(config, slot, bind)
    if settings.alone:
        if slot is not None or certificate is not None or authority is not None:
            raise ConfigurationError(
                "the configuration has no section [database], so this server would run alone, and --slot, "
                "--certificate and --authority are for a platform. Leave them out, or restore [database]."
            )
        _serve_alone(settings, credentials, bind or f"127.0.0.1:{PORTS['blue']}")
        return
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

    Web(settings, _secrets(settings, credentials), address, certificate, authority).run()


def _serve_alone(settings: Settings, credentials: Path | None, bind: str) -> None:
    if ":" not in bind or not is_local(bind) or bind.startswith("/"):
        raise ConfigurationError(
            f"--bind {bind} is refused: a server that runs alone does not encrypt, so it answers on this "
            f"machine only. Use 127.0.0.1:PORT, such as 127.0.0.1:{PORTS['blue']}."
        )
    _count_here()
    from composer_mcp.alone import serve as alone

    _fail_if(asyncio.run(alone.serve_http(settings, _secrets(settings, credentials), bind)))


def _count_here() -> None:
    """Count in memory: there is one process, so no folder has to bring figures together."""
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)


@cli.command(epilog="Example: composer-mcp stdio --config ~/composer.toml --credentials ~/composer-secrets")
def stdio(config: Config = None, credentials: Secrets = None) -> None:
    """Answer one MCP client on standard input and output; clients start this themselves.

    Runs alone: everything is kept in the state directory, and the browser starts with the first job that
    needs one. The caller is the user of this process, with all scopes. Log lines go to standard error.
    """
    settings = _prepare(config)
    _ = settings.state
    if sys.stdin.isatty():
        typer.echo("composer-mcp: waiting for an MCP client on standard input; Ctrl-D ends.", err=True)
    _count_here()
    from composer_mcp.alone import serve as alone

    _fail_if(asyncio.run(alone.serve_stdio(settings, _secrets(settings, credentials))))


@cli.command(epilog="Example: composer-mcp token --scope compositions:read --scope jobs:read --minutes 480")
def token(
    config: Config = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="what it allows, may be repeated; everything when left out")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=1, max=60 * 24 * 30, help="how long it is valid, at most 30 days")
    ] = 60,
) -> None:
    """Print a bearer token for a server that runs alone (composer-mcp serve without [database])."""
    settings = _prepare(config)
    from composer_mcp.alone.directory import StateDirectory
    from composer_mcp.alone.issuer import LocalIssuer
    from composer_mcp.security.caller import SCOPES

    known = sorted(set(SCOPES.values()))
    unknown = sorted(set(scope or []) - set(known))
    if unknown:
        raise ConfigurationError(f"there is no scope {', '.join(unknown)}. Known: {', '.join(known)}.")
    state = StateDirectory(settings.state)
    state.prepare()
    typer.echo(LocalIssuer(state.issuer).token(scope or known, minutes))


@cli.command(epilog="Example: composer-mcp worker --credentials ./secrets")
def worker(config: Config = None, credentials: Secrets = None) -> None:
    """Do jobs with a browser until SIGTERM; jobs under way are finished first."""
    settings = _prepare(config)
    # Before its secrets: without a database there is nothing for a worker to do.
    _ = settings.postgresql
    process.prepare(settings)
    from composer_mcp.jobs import worker as jobs

    asyncio.run(jobs.serve(settings, _secrets(settings, credentials)))


@cli.command(epilog="Example: composer-mcp migrate --json")
def migrate(config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Bring the database schema to this release's version, as the owner's role."""
    settings = _prepare(config)
    import asyncpg

    from composer_mcp.store import database
    from composer_mcp.store import migrate as schema

    place = settings.postgresql
    password = _secrets(settings, credentials).read("database-owner-password")
    try:
        outcome = asyncio.run(schema.migrate(place, password))
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
def check(config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Validate the configuration and reach every dependency; exit 1 if one fails."""
    settings = _prepare(config)
    from composer_mcp import checks

    findings = asyncio.run(checks.run(settings, _secrets(settings, credentials)))
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
    config: Config = None,
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


def _fail_if(reason: str | None) -> None:
    if reason is not None:
        _fail(reason)


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
