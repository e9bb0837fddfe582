"""Opens the trail: with the key from where this server has it, in the store that the configuration names."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from composer_mcp.alone.directory import StateDirectory
from composer_mcp.audit.chain import Keys
from composer_mcp.audit.entry import NO_DETAILS, Entry, now
from composer_mcp.audit.postgres import PostgresAudit
from composer_mcp.audit.sqlite import SqliteAudit
from composer_mcp.audit.trail import Trail
from composer_mcp.errors.kinds import ComposerError
from composer_mcp.observability import logs
from composer_mcp.security.caller import user_name
from composer_mcp.store import opening as store_opening
from composer_mcp.store.sqlite import Sqlite

if TYPE_CHECKING:
    import asyncpg

    from composer_mcp.audit.store import AuditStore
    from composer_mcp.settings import Credentials, Settings


@dataclass(frozen=True, slots=True)
class Opened:
    """A trail with what it is made of."""

    store: AuditStore
    keys: Keys
    trail: Trail


def keys(settings: Settings, credentials: Credentials) -> Keys:
    """Return the keys of this server's trail: its secret's, or alone those of its state directory.

    Raises:
        ConfigurationError: there is none, or it is too short.
    """
    if settings.alone:
        secrets = [StateDirectory(settings.state).audit_key()]
    else:
        secrets = credentials.read("audit-key").get_secret_value().split()
    for secret in secrets:
        logs.hide(secret)
    return Keys(secrets)


@contextlib.asynccontextmanager
async def opened(
    settings: Settings, credentials: Credentials, *, owner: bool = False
) -> AsyncIterator[Opened]:
    """Open the trail for a command; ``owner`` with the rights to remove what was archived.

    Raises:
        ConfigurationError: a secret is missing, or the store cannot be used.
    """
    known = keys(settings, credentials)
    # Reading everything, or removing the half of it, may take longer than a call's statement.
    seconds = 3600 if owner else 600
    async with store_opening.opened(
        settings, credentials, "audit", size=2, owner=owner, statement_seconds=seconds
    ) as place:
        store: AuditStore = SqliteAudit(place) if isinstance(place, Sqlite) else PostgresAudit(place)
        trail = Trail(store, known)
        async with trail.run():
            yield Opened(store, known, trail)


@contextlib.asynccontextmanager
async def audit_trail(
    pool: asyncpg.Pool, settings: Settings, credentials: Credentials
) -> AsyncIterator[Trail]:
    """Open the trail of a platform for a process that has its connections already.

    Raises:
        ConfigurationError: the key is missing or too short.
    """
    trail = Trail(PostgresAudit(pool), keys(settings, credentials))
    async with trail.run():
        yield trail


def by_hand(
    action: str, target: str = "", details: Mapping[str, Any] = NO_DETAILS, *, outcome: str = "ok"
) -> Entry:
    """Return the entry of what somebody does with a command on this host."""
    return Entry(
        at=now(),
        tenant="",
        actor=f"cli:{_person()}@{socket.gethostname()}",
        action=action,
        target=target,
        outcome=outcome,
        details=details,
    )


@contextlib.asynccontextmanager
async def recorded(settings: Settings, credentials: Credentials, entry: Entry) -> AsyncIterator[None]:
    """Record what a command does, with its outcome, whether it goes well or not.

    Raises:
        ConfigurationError, store_unavailable, audit_broken.
    """
    async with opened(settings, credentials) as audit:
        try:
            yield
        except ComposerError as error:
            entry = entry._replace(outcome=error.code.code)
            raise
        finally:
            await audit.trail.record(entry)


async def record(settings: Settings, credentials: Credentials, entry: Entry) -> None:
    """Record what a command has done.

    Raises:
        ConfigurationError, store_unavailable, audit_broken.
    """
    async with recorded(settings, credentials, entry):
        pass


def _person() -> str:
    """Return who gave the command, also where that needs the rights of root."""
    person = os.environ.get("SUDO_USER", "")
    return person if person and os.geteuid() == 0 else user_name()
