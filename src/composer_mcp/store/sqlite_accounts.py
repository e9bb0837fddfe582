"""Accounts and revoked tokens on SQLite; see ``AccountStore`` for the promises."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from composer_mcp.errors import ACCOUNT_EXISTS, ACCOUNT_UNKNOWN, LAST_ADMINISTRATOR, TOO_MANY
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
from composer_mcp.store.sqlite import Sqlite

T = TypeVar("T")

ADD = """
insert into account (name, kind, issuer, subject, tenant, roles, note, created_at, changed_at)
values (:name, :kind, :issuer, :subject, :tenant, :roles, :note, :now, :now) on conflict do nothing
"""
PAGE = """
select * from account where name > :after and (:tenant is null or tenant = :tenant) order by name limit :limit
"""
CHANGE = """
update account
set roles = coalesce(:roles, roles), enabled = coalesce(:enabled, enabled), note = coalesce(:note, note),
    tokens_from = case when :revoke then :now else tokens_from end, changed_at = :now
where name = :name
"""
OTHER_ADMINISTRATORS = """
select exists (
    select 1 from account, json_each(account.roles) as role
    where enabled and role.value = ? and name <> ?
)
"""
REVOKE = """
insert into token_revocation (issuer, token_id, note, revoked_at, expires_at)
values (:issuer, :token_id, :note, :now, :until)
on conflict (issuer, token_id) do update
    set note = excluded.note, expires_at = max(expires_at, excluded.expires_at)
returning issuer, token_id, note, expires_at
"""
REVOCATIONS = """
select issuer, token_id, note, expires_at from token_revocation where expires_at > ?
order by revoked_at desc, token_id limit ?
"""
STATE = "Nothing was changed."


class SqliteAccounts:
    """Reads and writes ``account`` and ``token_revocation``; the command line may do so at the same time."""

    def __init__(self, database: Sqlite) -> None:
        self._database = database
        self._changed = asyncio.Event()

    async def add(self, new: NewAccount) -> Account:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""

        def add(connection: sqlite3.Connection) -> Account:
            if _count(connection, "select count(*) from account") >= ACCOUNT_LIMIT:
                raise TOO_MANY.error(limit=ACCOUNT_LIMIT, what="accounts")
            values = new.model_dump() | {"roles": json.dumps(new.roles), "now": time.time()}
            if not connection.execute(ADD, values).rowcount:
                raise ACCOUNT_EXISTS.error(name=new.name)
            return _get(connection, new.name)

        return await self._change(add)

    async def get(self, name: str) -> Account:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        return await self._database.run(lambda connection: _get(connection, name), STATE)

    async def page(self, after: str = "", limit: int = 100, tenant: str | None = None) -> list[Account]:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        values = {"after": after, "tenant": tenant, "limit": min(limit, PAGE_LIMIT)}
        return await self._database.run(lambda connection: _page(connection, values), STATE)

    async def change(self, name: str, change: Change) -> Account:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""

        def alter(connection: sqlite3.Connection) -> Account:
            before = _get(connection, name)
            values = {
                "name": name,
                "roles": None if change.roles is None else json.dumps(change.roles),
                "enabled": change.enabled,
                "note": change.note,
                "revoke": change.revoke_tokens,
                "now": time.time(),
            }
            connection.execute(CHANGE, values)
            after = _get(connection, name)
            if administers(before) and not administers(after):
                _leave_an_administrator(connection, name)
            return after

        return await self._change(alter)

    async def remove(self, name: str) -> None:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""

        def remove(connection: sqlite3.Connection) -> None:
            if administers(_get(connection, name)):
                _leave_an_administrator(connection, name)
            connection.execute("delete from account where name = ?", (name,))

        await self._change(remove)

    async def revoke(self, revocation: Revocation) -> Revocation:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""

        def revoke(connection: sqlite3.Connection) -> Revocation:
            now = time.time()
            connection.execute("delete from token_revocation where expires_at < ?", (now,))
            if _count(connection, "select count(*) from token_revocation") >= REVOCATION_LIMIT:
                raise TOO_MANY.error(limit=REVOCATION_LIMIT, what="revoked tokens")
            until = kept_until(revocation)
            values = revocation.model_dump() | {"now": now, "until": until.timestamp()}
            del values["expires_at"]
            (row,) = connection.execute(REVOKE, values).fetchall()
            return _revocation(row)

        return await self._change(revoke)

    async def revocations(self, limit: int = 100) -> list[Revocation]:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        rows = await self._database.run(
            lambda connection: _revoked(connection, min(limit, PAGE_LIMIT)), STATE
        )
        return [_revocation(row) for row in rows]

    async def newer(self, version: int) -> Snapshot | None:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""

        def read(connection: sqlite3.Connection) -> Snapshot | None:
            now = _count(connection, "select version from access_version")
            if now == version:
                return None
            accounts = _page(connection, {"after": "", "tenant": None, "limit": ACCOUNT_LIMIT})
            revoked = _revoked(connection, REVOCATION_LIMIT)
            return Snapshot(
                now, accounts, {(row["issuer"], row["token_id"]): row["expires_at"] for row in revoked}
            )

        return await self._database.run(read, STATE)

    async def told(self, seconds: float) -> None:
        """See :class:`~composer_mcp.security.accounts.AccountStore`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()

    async def _change(self, change: Callable[[sqlite3.Connection], T]) -> T:
        def counted(connection: sqlite3.Connection) -> T:
            connection.execute("update access_version set version = version + 1")
            return change(connection)

        changed = await self._database.run(counted, STATE)
        self._changed.set()
        return changed


def _count(connection: sqlite3.Connection, query: str) -> int:
    (count,) = connection.execute(query).fetchone()
    return int(count)


def _get(connection: sqlite3.Connection, name: str) -> Account:
    row = connection.execute("select * from account where name = ?", (name,)).fetchone()
    if row is None:
        raise ACCOUNT_UNKNOWN.error(name=name[:100])
    return _account(row)


def _page(connection: sqlite3.Connection, values: dict[str, Any]) -> list[Account]:
    return [_account(row) for row in connection.execute(PAGE, values)]


def _revoked(connection: sqlite3.Connection, limit: int) -> list[sqlite3.Row]:
    return connection.execute(REVOCATIONS, (time.time(), limit)).fetchall()


def _leave_an_administrator(connection: sqlite3.Connection, name: str) -> None:
    (others,) = connection.execute(OTHER_ADMINISTRATORS, (ADMINISTRATOR, name)).fetchone()
    if not others:
        raise LAST_ADMINISTRATOR.error(name=name)


def _account(row: sqlite3.Row) -> Account:
    values = dict(row)
    moments = {
        name: None if values[name] is None else _moment(values[name])
        for name in ("tokens_from", "created_at", "changed_at")
    }
    lists = {"roles": json.loads(values["roles"]), "enabled": bool(values["enabled"])}
    return Account.model_construct(**values | lists | moments)


def _revocation(row: sqlite3.Row) -> Revocation:
    return Revocation(**dict(row) | {"expires_at": _moment(row["expires_at"])})


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
