"""Commands that prepare and examine an installation."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

import composer_mcp
from composer_mcp.cli.common import AsJson, Config, Secrets, fail, prepare, secrets
from composer_mcp.observability import logs
from composer_mcp.settings import ConfigurationError

commands = typer.Typer()


@commands.command(epilog="Example: composer-mcp migrate --json")
def migrate(config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Bring the database schema to this release's version, as the owner's role."""
    settings = prepare(config)
    import asyncpg

    from composer_mcp.store import database
    from composer_mcp.store import migrate as schema

    place = settings.postgresql
    password = secrets(settings, credentials).read("database-owner-password")
    try:
        outcome = asyncio.run(schema.migrate(place, password))
    except (*database.UNREACHABLE, asyncpg.PostgresError) as error:
        fail(
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


@commands.command(epilog="Example: composer-mcp check --credentials ./secrets")
def check(config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Validate the configuration and reach every dependency; exit 1 if one fails."""
    settings = prepare(config)
    from composer_mcp import checks

    findings = asyncio.run(checks.run(settings, secrets(settings, credentials)))
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


@commands.command(epilog="Example: composer-mcp token --scope compositions:read --minutes 480")
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
    settings = prepare(config)
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


@commands.command()
def version() -> None:
    """Print the version."""
    typer.echo(composer_mcp.__version__)
