"""Accounts and revoked tokens on PostgreSQL; see ``AccountStore`` for the promises."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg

from composer_mcp.errors import (
    ACCOUNT_EXISTS,
    ACCOUNT_UNKNOWN,
    LAST_ADMINISTRATOR,
    STORE_UNAVAILABLE,
    TOO_MANY,
)
from composer_mcp.security.accounts import (
    ACCOUNT_LIMIT,
    PAGE_LIMIT,
    REVOCATION_LIMIT,
    Account,
    Change,
    NewAccount,
    Revocation,
    Snapshot,
    administers,
    kept_until,
)
from composer_mcp.security.roles import ADMINISTRATOR
from composer_mcp.store import database
from composer_mcp.store.listener import Ear

if TYPE_CHECKING:
    from typing import TypeAlias

    Connection: TypeAlias = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

#: Also written in ANNOUNCE.
CHANNEL = "composer_access"
#: Taken first by every change: none comes between another's look and its write.
TURN = "update access_version set version = version + 1"
ANNOUNCE = "select pg_notify('composer_access', '')"
ADD = """
insert into account (name, kind, issuer, subject, tenant, roles, note) values ($1, $2, $3, $4, $5, $6, $7)
on conflict do nothing
returning name, kind, issuer, subject, tenant, roles, enabled, note, tokens_from, created_at, changed_at
"""
GET = """
select name, kind, issuer, subject, tenant, roles, enabled, note, tokens_from, created_at, changed_at
from account where name = $1
"""
PAGE = """
select name, kind, issuer, subject, tenant, roles, enabled, note, tokens_from, created_at, changed_at
from account where name > $1 and ($2::text is null or tenant = $2) order by name limit $3
"""
CHANGE = """
update account
set roles = coalesce($2, roles), enabled = coalesce($3, enabled), note = coalesce($4, note),
    tokens_from = case when $5 then clock_timestamp() else tokens_from end, changed_at = clock_timestamp()
where name = $1
returning name, kind, issuer, subject, tenant, roles, enabled, note, tokens_from, created_at, changed_at
"""
OTHER_ADMINISTRATORS = "select exists (select from account where enabled and $1 = any(roles) and name <> $2)"
REVOKE = """
insert into token_revocation (issuer, token_id, note, expires_at) values ($1, $2, $3, $4)
on conflict (issuer, token_id) do update
    set note = excluded.note, expires_at = greatest(token_revocation.expires_at, excluded.expires_at)
returning issuer, token_id, note, expires_at
"""
EXPIRED = "delete from token_revocation where expires_at < clock_timestamp()"
REVOCATIONS = """
select issuer, token_id, note, expires_at from token_revocation where expires_at > clock_timestamp()
order by revoked_at desc, token_id limit $1
"""
STATE = "It is not known whether it was changed."


class Bell:
    """Rings when another process has changed something; ``ear`` is for the listener of this process."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self.ear = Ear(CHANNEL, lambda _payload: self._rung.set(), self._rung.set)

    async def wait(self, seconds: float) -> None:
        """Return when it rings, at the latest after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        self._rung.clear()


class PostgresAccounts:
    """Reads and writes ``account`` and ``token_revocation``."""

    def __init__(self, pool: asyncpg.Pool, bell: Bell | None = None) -> None:
        self._pool = pool
        self._bell = bell or Bell()

    async def add(self, new: NewAccount) -> Account:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        async with self._changing() as connection:
            if await connection.fetchval("select count(*) from account") >= ACCOUNT_LIMIT:
                raise TOO_MANY.error(limit=ACCOUNT_LIMIT, what="accounts")
            row = await connection.fetchrow(
                ADD, new.name, new.kind, new.issuer, new.subject, new.tenant, new.roles, new.note
            )
            if row is None:
                raise ACCOUNT_EXISTS.error(name=new.name)
            return _account(row)

    async def get(self, name: str) -> Account:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        async with self._reading() as connection:
            return await _get(connection, name)

    async def page(self, after: str = "", limit: int = 100, tenant: str | None = None) -> list[Account]:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        async with self._reading() as connection:
            rows = await connection.fetch(PAGE, after, tenant, min(limit, PAGE_LIMIT))
        return [_account(row) for row in rows]

    async def change(self, name: str, change: Change) -> Account:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        async with self._changing() as connection:
            before = await _get(connection, name)
            row = await connection.fetchrow(
                CHANGE, name, change.roles, change.enabled, change.note, change.revoke_tokens
            )
            after = _account(row)
            if administers(before) and not administers(after):
                await _leave_an_administrator(connection, name)
            return after

    async def remove(self, name: str) -> None:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        async with self._changing() as connection:
            if administers(await _get(connection, name)):
                await _leave_an_administrator(connection, name)
            await connection.execute("delete from account where name = $1", name)

    async def revoke(self, revocation: Revocation) -> Revocation:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        until = kept_until(revocation)
        async with self._changing() as connection:
            await connection.execute(EXPIRED)
            if await connection.fetchval("select count(*) from token_revocation") >= REVOCATION_LIMIT:
                raise TOO_MANY.error(limit=REVOCATION_LIMIT, what="revoked tokens")
            row = await connection.fetchrow(
                REVOKE, revocation.issuer, revocation.token_id, revocation.note, until
            )
            return Revocation(**row)

    async def revocations(self, limit: int = 100) -> list[Revocation]:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        async with self._reading() as connection:
            rows = await connection.fetch(REVOCATIONS, min(limit, PAGE_LIMIT))
        return [Revocation(**row) for row in rows]

    async def newer(self, version: int) -> Snapshot | None:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        async with self._reading() as connection:
            # Read first: what is changed meanwhile is in the rows already, and once more in the next look.
            now: int = await connection.fetchval("select version from access_version")
            if now == version:
                return None
            accounts = await connection.fetch(PAGE, "", None, ACCOUNT_LIMIT)
            revoked = await connection.fetch(REVOCATIONS, REVOCATION_LIMIT)
        return Snapshot(
            now,
            [_account(row) for row in accounts],
            {(row["issuer"], row["token_id"]): row["expires_at"].timestamp() for row in revoked},
        )

    async def told(self, seconds: float) -> None:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        await self._bell.wait(seconds)

    @contextlib.asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        try:
            async with self._pool.acquire() as connection:
                yield connection
        except database.UNREACHABLE as error:
            raise STORE_UNAVAILABLE.error(store="database", state="Nothing was changed.") from error

    @contextlib.asynccontextmanager
    async def _changing(self) -> AsyncIterator[Connection]:
        """Have the tables to oneself; what is written counts if this ends well, and everybody hears of it."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(TURN)
                yield connection
                await connection.execute(ANNOUNCE)
        except database.UNREACHABLE as error:
            raise STORE_UNAVAILABLE.error(store="database", state=STATE) from error


async def _get(connection: Connection, name: str) -> Account:
    row = await connection.fetchrow(GET, name)
    if row is None:
        raise ACCOUNT_UNKNOWN.error(name=name[:100])
    return _account(row)


async def _leave_an_administrator(connection: Connection, name: str) -> None:
    if not await connection.fetchval(OTHER_ADMINISTRATORS, ADMINISTRATOR, name):
        raise LAST_ADMINISTRATOR.error(name=name)


def _account(row: asyncpg.Record) -> Account:
    # Checked when it was written; ten thousand are read at once.
    return Account.model_construct(**row)
