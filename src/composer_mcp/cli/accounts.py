"""Commands for users, service accounts, their roles, and revoked tokens."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from composer_mcp.cli.account_work import (
    changing,
    checked,
    issuer_of,
    moment,
    of_token,
    reading,
    table,
    tell,
    utc,
)
from composer_mcp.cli.common import AsJson, Config, Secrets, prepare, print_json
from composer_mcp.errors.kinds import ConfigurationError

if TYPE_CHECKING:
    from composer_mcp.security.accounts import Account, AccountStore, Revocation

commands = typer.Typer(
    name="user",
    help="Manage users and service accounts, their roles, and revoked tokens.",
    no_args_is_help=True,
)
FOLLOWED = "all processes follow within 2 seconds"
PAGE = 500


def _roles(incomplete: str = "") -> list[str]:
    from composer_mcp.security.roles import ROLES

    return [role for role in ROLES if role.startswith(incomplete)]


Name = Annotated[str, typer.Argument(metavar="NAME", help="the account's name")]


@commands.command(epilog="Example: composer-mcp user add ana --role administrator --tenant school")
def add(
    name: Name,
    role: Annotated[list[str], typer.Option(help="what it may do, may be repeated", autocompletion=_roles)],
    kind: Annotated[Literal["user", "service"], typer.Option(help="a person or a program")] = "user",
    issuer: Annotated[
        str | None, typer.Option(help="who issues its tokens; when left out the only one in [[issuers]]")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="how its tokens name it (claim sub); when left out as NAME")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="its tenant; may be left out for a server that runs alone")
    ] = None,
    note: Annotated[str, typer.Option(help="for people")] = "",
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Add an account; so the first administrator is made. Its roles limit what its tokens can do."""
    settings = prepare(config)
    from composer_mcp.security.accounts import NewAccount
    from composer_mcp.security.caller import LOCAL_TENANT

    if tenant is None and not settings.alone:
        raise ConfigurationError("--tenant is required: an account is good for tokens of one tenant only.")
    values = {
        "name": name,
        "kind": kind,
        "issuer": issuer_of(settings, issuer),
        "subject": subject or name,
        "tenant": tenant or LOCAL_TENANT,
        "roles": role,
        "note": note,
    }
    new = checked(NewAccount, values)
    added = changing(settings, credentials, "account.add", name, values, lambda store: store.add(new))
    tell(added, as_json)


@commands.command("list", epilog="Example: composer-mcp user list --tenant school --json")
def list_(
    tenant: Annotated[str | None, typer.Option(help="only of this tenant")] = None,
    role: Annotated[str | None, typer.Option(help="only with this role", autocompletion=_roles)] = None,
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """List all accounts by name."""

    async def every(store: AccountStore) -> list[Account]:
        found: list[Account] = []
        while len(page := await store.page(found[-1].name if found else "", PAGE, tenant)) == PAGE:
            found += page
        return found + page

    accounts = reading(prepare(config), credentials, every)
    shown = [account for account in accounts if role is None or role in account.roles]
    if as_json:
        print_json({"accounts": [account.model_dump(mode="json") for account in shown]})
        return
    if not shown:
        typer.echo("no such accounts")
        return
    table(
        ("NAME", "KIND", "TENANT", "ROLES", "STATE", "CHANGED", "NOTE"),
        [
            (
                account.name,
                account.kind,
                account.tenant,
                ",".join(account.roles),
                "enabled" if account.enabled else "disabled",
                moment(account.changed_at),
                account.note,
            )
            for account in shown
        ],
    )


@commands.command(epilog="Example: composer-mcp user show ana --json")
def show(name: Name, config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Show an account, and which scopes its roles grant."""
    tell(reading(prepare(config), credentials, lambda store: store.get(name)), as_json)


@commands.command("set-roles", epilog="Example: composer-mcp user set-roles ana teacher auditor")
def set_roles(
    name: Name,
    roles: Annotated[
        list[str], typer.Argument(metavar="ROLE ...", help="all it is to have", autocompletion=_roles)
    ],
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Give an account these roles in place of those that it has."""
    _alter(name, "account.set_roles", {"roles": roles}, config, credentials, as_json)


@commands.command(epilog="Example: composer-mcp user enable ana")
def enable(name: Name, config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Let an account call again."""
    _alter(name, "account.enable", {"enabled": True}, config, credentials, as_json)


@commands.command(epilog="Example: composer-mcp user disable ana")
def disable(name: Name, config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Refuse whatever an account calls, with any token; its jobs that were accepted are done."""
    _alter(name, "account.disable", {"enabled": False}, config, credentials, as_json)


@commands.command(epilog="Example: composer-mcp user remove ana")
def remove(name: Name, config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """Forget an account. With access.accounts = "optional" its caller is then one without; or disable it."""
    settings = prepare(config)
    changing(settings, credentials, "account.remove", name, {}, lambda store: store.remove(name))
    if as_json:
        print_json({"removed": name})
    else:
        typer.echo(f"{name} is removed; {FOLLOWED}")


@commands.command(
    epilog="Examples: composer-mcp user revoke ana; "
    "composer-mcp user revoke --token-id 5f2c2d --issuer https://issuer.example; "
    "cat token.txt | composer-mcp user revoke --token"
)
def revoke(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="refuse all that was issued to this account so far")
    ] = None,
    token_id: Annotated[str | None, typer.Option(help="refuse the token with this id (claim jti)")] = None,
    token: Annotated[
        bool, typer.Option("--token", help="refuse the token that is read from standard input")
    ] = False,
    issuer: Annotated[
        str | None, typer.Option(help="of --token-id; when left out the only one in [[issuers]]")
    ] = None,
    expires: Annotated[
        datetime | None,
        typer.Option(help="when the token of --token-id expires (UTC); when left out, kept for 31 days"),
    ] = None,
    note: Annotated[str, typer.Option(help="for people")] = "",
    config: Config = None,
    credentials: Secrets = None,
    as_json: AsJson = False,
) -> None:
    """Refuse tokens before they expire: one, or all that an account has been issued so far."""
    if [name is not None, token_id is not None, token].count(True) != 1:
        raise typer.BadParameter("give one of NAME, --token-id and --token: what is to be refused.")
    if name is not None:
        _alter(name, "account.revoke_tokens", {"revoke_tokens": True}, config, credentials, as_json)
        return
    settings = prepare(config)
    from composer_mcp.security.accounts import Revocation

    if token:
        values = of_token(sys.stdin.read(64 * 1024))
        values["issuer"] = issuer_of(settings, values["issuer"])
    else:
        values = {"issuer": issuer_of(settings, issuer), "token_id": token_id, "expires_at": utc(expires)}
    revocation = checked(Revocation, values | {"note": note})
    target = f"{revocation.issuer} {revocation.token_id}"
    revoked = changing(
        settings, credentials, "token.revoke", target, {"note": note}, lambda store: store.revoke(revocation)
    )
    if as_json:
        print_json(revoked.model_dump(mode="json"))
    else:
        until = "" if revoked.expires_at is None else f" until {moment(revoked.expires_at)}"
        typer.echo(f"{revoked.token_id} is refused{until}; {FOLLOWED}")


@commands.command(epilog="Example: composer-mcp user revoked --json")
def revoked(config: Config = None, credentials: Secrets = None, as_json: AsJson = False) -> None:
    """List the newest 500 revoked tokens that have not expired."""
    found: list[Revocation] = reading(prepare(config), credentials, lambda store: store.revocations(PAGE))
    if as_json:
        print_json({"revocations": [one.model_dump(mode="json") for one in found]})
        return
    if not found:
        typer.echo("no revoked tokens")
        return
    lines = [(one.token_id, one.issuer, moment(one.expires_at), one.note) for one in found]
    table(("TOKEN", "ISSUER", "UNTIL", "NOTE"), lines)


def _alter(
    name: str,
    action: str,
    values: dict[str, Any],
    config: Path | None,
    credentials: Path | None,
    as_json: bool,
) -> None:
    from composer_mcp.security.accounts import Change

    change = checked(Change, values)
    changed = changing(
        prepare(config), credentials, action, name, values, lambda store: store.change(name, change)
    )
    tell(changed, as_json)
