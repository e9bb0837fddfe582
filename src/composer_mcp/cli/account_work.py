"""What the commands for accounts share: reading and changing them, and how they are shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from composer_mcp.cli.common import print_json, progress, secrets
from composer_mcp.errors.kinds import ComposerError, ConfigurationError

if TYPE_CHECKING:
    from composer_mcp.security.accounts import Account, AccountStore
    from composer_mcp.settings import Settings

T = TypeVar("T")


def issuer_of(settings: Settings, named: str | None) -> str:
    """Return the issuer that is meant.

    Raises:
        ConfigurationError: it is not trusted here, or none is named and there are several.
    """
    known = [issuer.issuer for issuer in settings.issuers]
    if named is None and len(known) == 1:
        return known[0]
    if named not in known:
        what = "--issuer is required" if named is None else f"the issuer {named} is not trusted here"
        raise ConfigurationError(f"{what}. Trusted: {', '.join(known)}. Nothing was changed.")
    return named


def checked(model: type[T], values: dict[str, Any]) -> T:
    """Return the values as a model, or say what is wrong with them."""
    from pydantic import ValidationError

    try:
        return model(**values)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False)
        )
        raise ConfigurationError(f"{told}. Nothing was changed.") from error


def of_token(text: str) -> dict[str, Any]:
    """Return what names a token; whether it is a good one does not matter, it is to be refused."""
    import jwt

    try:
        claims = jwt.decode(text.strip(), options={"verify_signature": False})
    except (jwt.PyJWTError, RecursionError) as error:
        raise ConfigurationError(
            "what was read from standard input is not a JSON web token. Nothing was changed."
        ) from error
    if not claims.get("jti"):
        raise ConfigurationError(
            "the token has no id (claim jti), so it cannot be refused alone. Refuse all tokens of its "
            "account instead: composer-mcp user revoke NAME. Nothing was changed."
        )
    expires = claims.get("exp")
    moment = None
    if isinstance(expires, int) and 0 < expires < 10**11:
        moment = datetime.fromtimestamp(expires, UTC)
    return {"issuer": claims.get("iss", ""), "token_id": claims["jti"], "expires_at": moment}


def changing(
    settings: Settings,
    credentials: Path | None,
    action: str,
    target: str,
    details: dict[str, Any],
    work: Callable[[AccountStore], Awaitable[T]],
) -> T:
    """Change something, and record that, also if it was refused."""
    from composer_mcp.audit.opening import by_hand, opened
    from composer_mcp.security.opening import account_store

    folder = secrets(settings, credentials)

    async def run() -> T:
        async with opened(settings, folder) as audit, account_store(settings, folder) as store:
            entry = by_hand(action, target, details)
            try:
                return await work(store)
            except ComposerError as error:
                entry = entry._replace(outcome=error.code.code)
                raise
            finally:
                await audit.trail.record(entry)

    with progress("changing the accounts"):
        return asyncio.run(run())


def reading(settings: Settings, credentials: Path | None, work: Callable[[AccountStore], Awaitable[T]]) -> T:
    """Return what ``work`` finds."""
    from composer_mcp.security.opening import account_store

    async def run() -> T:
        async with account_store(settings, secrets(settings, credentials)) as store:
            return await work(store)

    with progress("reading the accounts"):
        return asyncio.run(run())


def tell(account: Account, as_json: bool) -> None:
    """Show one account."""
    from composer_mcp.security.roles import granted

    scopes = sorted(granted(account.roles))
    if as_json:
        print_json(account.model_dump(mode="json") | {"scopes": scopes})
        return
    facts = {
        "name": account.name,
        "kind": account.kind,
        "issuer": account.issuer,
        "subject": account.subject,
        "tenant": account.tenant,
        "roles": ", ".join(account.roles),
        "scopes": ", ".join(scopes),
        "state": "enabled" if account.enabled else "disabled",
        "tokens": "" if account.tokens_from is None else f"issued after {moment(account.tokens_from)} only",
        "note": account.note,
        "created": moment(account.created_at),
        "changed": moment(account.changed_at),
    }
    for name, value in facts.items():
        if value:
            typer.echo(f"{name:<8} {value}")


def utc(given: datetime | None) -> datetime | None:
    """Return a moment of a command line, which is in UTC unless it says otherwise."""
    return given if given is None or given.tzinfo else given.replace(tzinfo=UTC)


def moment(at: datetime | None) -> str:
    """Return a moment for people, in the time of this host."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print lines in columns."""
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    for line in (heads, *lines):
        typer.echo("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())
