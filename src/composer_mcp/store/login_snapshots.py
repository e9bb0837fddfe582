"""Sealed login snapshots, one for each tenant, until they expire. What is in them is not known here."""

from __future__ import annotations

import sqlite3
import time
from datetime import timedelta
from typing import Protocol

import asyncpg

from composer_mcp.errors import STORE_UNAVAILABLE, ComposerError
from composer_mcp.store.database import UNREACHABLE
from composer_mcp.store.sqlite import Sqlite

#: Larger ones are not kept.
LIMIT_BYTES = 256 * 1024


class LoginSnapshots(Protocol):
    """Not patient: who has no snapshot logs in. Every method may raise ``store_unavailable``."""

    async def find(self, tenant: str) -> bytes | None:
        """Return the snapshot of a tenant, unless it has expired."""

    async def keep(self, tenant: str, sealed: bytes, seconds: float) -> None:
        """Keep a snapshot for so long, instead of an earlier one; those that have expired are deleted."""

    async def forget(self, tenant: str) -> None:
        """Delete the snapshot of a tenant."""


FIND = "select sealed from login_snapshot where tenant = $1 and expires_at > clock_timestamp()"
KEEP = """
with expired as (
    delete from login_snapshot where expires_at <= clock_timestamp() and tenant <> $1
)
insert into login_snapshot (tenant, sealed, expires_at) values ($1, $2, clock_timestamp() + $3::interval)
on conflict (tenant) do update set sealed = excluded.sealed, expires_at = excluded.expires_at
"""
FORGET = "delete from login_snapshot where tenant = $1"


class PostgresLoginSnapshots:
    """On PostgreSQL."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def find(self, tenant: str) -> bytes | None:
        """See :class:`LoginSnapshots`."""
        try:
            found: bytes | None = await self._pool.fetchval(FIND, tenant)
        except UNREACHABLE as error:
            raise _away() from error
        return found

    async def keep(self, tenant: str, sealed: bytes, seconds: float) -> None:
        """See :class:`LoginSnapshots`."""
        try:
            await self._pool.execute(KEEP, tenant, sealed, timedelta(seconds=seconds))
        except UNREACHABLE as error:
            raise _away() from error

    async def forget(self, tenant: str) -> None:
        """See :class:`LoginSnapshots`."""
        try:
            await self._pool.execute(FORGET, tenant)
        except UNREACHABLE as error:
            raise _away() from error


class SqliteLoginSnapshots:
    """On SQLite."""

    def __init__(self, database: Sqlite) -> None:
        self._database = database

    async def find(self, tenant: str) -> bytes | None:
        """See :class:`LoginSnapshots`."""
        row = await self._database.run(
            lambda connection: connection.execute(
                "select sealed from login_snapshot where tenant = ? and expires_at > ?", (tenant, time.time())
            ).fetchone()
        )
        return None if row is None else bytes(row["sealed"])

    async def keep(self, tenant: str, sealed: bytes, seconds: float) -> None:
        """See :class:`LoginSnapshots`."""
        now = time.time()

        def keep(connection: sqlite3.Connection) -> None:
            connection.execute("delete from login_snapshot where expires_at <= ?", (now,))
            connection.execute(
                "insert or replace into login_snapshot (tenant, sealed, expires_at) values (?, ?, ?)",
                (tenant, sealed, now + seconds),
            )

        await self._database.run(keep)

    async def forget(self, tenant: str) -> None:
        """See :class:`LoginSnapshots`."""
        await self._database.run(
            lambda connection: connection.execute("delete from login_snapshot where tenant = ?", (tenant,))
        )


def _away() -> ComposerError:
    return STORE_UNAVAILABLE.error(store="database", state="Nothing was changed.")
