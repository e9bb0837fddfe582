"""Commands that prepare and examine an installation."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

import composer_mcp
from composer_mcp.cli.common import (
    AsJson,
    Config,
    Secrets,
    prepare,
    print_json,
    progress,
    secrets,
)
from composer_mcp.failures import ConfigurationError

commands = typer.Typer()

MONTH_MINUTES = 60 * 24 * 30


@commands.command(epilog="Example: composer-mcp check --credentials ./secrets")
def check(config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Validate the configuration and reach every dependency; exit 1 if one fails."""
    settings = prepare(config)
    from composer_mcp import checks
    from composer_mcp.observability.masking import redact

    findings = asyncio.run(checks.run(settings, secrets(settings, credentials), around=progress))
    good = all(finding.ok for finding in findings)
    if as_json:
        print_json({"ok": good, "checks": [finding.as_dict() for finding in findings]})
    else:
        for finding in findings:
            typer.echo(f"{'ok    ' if finding.ok else 'FAILED'}  {finding.name}: {redact(finding.detail)}")
            if finding.remedy:
                typer.echo(f"        {finding.remedy}")
    if not good:
        raise typer.Exit(1)


def _scopes() -> list[str]:
    from composer_mcp.security.caller import SCOPES

    return sorted(set(SCOPES.values()))


@commands.command(epilog="Example: composer-mcp token --scope compositions:read --minutes 480")
def token(
    config: Config = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="what it allows, may be repeated; everything when left out", autocompletion=_scopes
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=1, max=MONTH_MINUTES, help="how long it is valid, at most 30 days")
    ] = 60,
    as_json: AsJson = False,
) -> None:
    """Print a bearer token for a server that runs alone (composer-mcp serve without [database])."""
    settings = prepare(config)
    from composer_mcp.alone.directory import StateDirectory
    from composer_mcp.alone.issuer import LocalIssuer

    known = _scopes()
    unknown = sorted(set(scope or []) - set(known))
    if unknown:
        raise ConfigurationError(f"there is no scope {', '.join(unknown)}. Known: {', '.join(known)}.")
    state = StateDirectory(settings.state)
    state.prepare()
    printed = LocalIssuer(state.issuer).token(scope or known, minutes)
    if as_json:
        print_json({"token": printed, "scopes": scope or known, "minutes": minutes})
    else:
        typer.echo(printed)


@commands.command(epilog="Example: composer-mcp version --json")
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": composer_mcp.__version__})
    else:
        typer.echo(composer_mcp.__version__)
