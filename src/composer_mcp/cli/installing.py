"""Commands that prepare and examine an installation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

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
from composer_mcp.errors.kinds import ConfigurationError

if TYPE_CHECKING:
    from composer_mcp.settings import Settings

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
    from composer_mcp.security.roles import ALL_SCOPES

    return sorted(ALL_SCOPES)


@commands.command(epilog="Example: composer-mcp token --scope compositions:read --minutes 480")
def token(
    config: Config = None,
    account: Annotated[
        str | None,
        typer.Option(help="for this account (composer-mcp user list); when left out for you, without one"),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="what it allows, may be repeated; when left out all that the account's roles grant, and "
            "without an account all tools",
            autocompletion=_scopes,
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
    from composer_mcp.audit.opening import by_hand, record
    from composer_mcp.security.roles import TOOLS

    state = StateDirectory(settings.state)
    state.prepare()
    subject, possible, usual, whose = None, _scopes(), sorted(TOOLS), "a token"
    if account is not None:
        subject, granted = _owner(settings, account)
        possible, usual, whose = granted, granted, f"a token of {account}"
    unknown = sorted(set(scope or []) - set(possible))
    if unknown:
        raise ConfigurationError(
            f"{whose} cannot have the scope {', '.join(unknown)}. Known: {', '.join(possible)}."
        )
    printed = LocalIssuer(state.issuer).token(scope or usual, minutes, subject)
    made = by_hand("token.made", account or "", {"scopes": scope or usual, "minutes": minutes})
    asyncio.run(record(settings, secrets(settings, None), made))
    if as_json:
        print_json({"token": printed, "scopes": scope or usual, "minutes": minutes})
    else:
        typer.echo(printed)


def _owner(settings: Settings, name: str) -> tuple[str, list[str]]:
    """Return an account's subject, and the scopes that its roles grant."""
    from composer_mcp.alone.defaults import LOCAL_ISSUER
    from composer_mcp.cli.account_work import reading
    from composer_mcp.security.roles import granted

    account = reading(settings, None, lambda store: store.get(name))
    if account.issuer != LOCAL_ISSUER:
        raise ConfigurationError(
            f"the tokens of {name} are issued by {account.issuer}. This command issues only those of "
            f"accounts whose issuer is {LOCAL_ISSUER}."
        )
    if not account.enabled:
        raise ConfigurationError(f"the account {name} is disabled: composer-mcp user enable {name}.")
    return account.subject, sorted(granted(account.roles))


@commands.command(epilog="Example: composer-mcp version --json")
def version(as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": composer_mcp.__version__})
    else:
        typer.echo(composer_mcp.__version__)
