"""Changed settings on PostgreSQL; see ``RuntimeStore`` for the promises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import asyncpg

from composer_mcp.errors import SETTINGS_CHANGED, STORE_UNAVAILABLE
from composer_mcp.runtime.store import CHANNEL, Override, Stored
from composer_mcp.store.database import UNREACHABLE

VERSION = "select version from runtime_version"
READ = """
select now.version as newest, setting.key, setting.value, setting.version, setting.changed_at,
       setting.changed_by
from runtime_version now left join runtime_setting setting on true
"""
CLAIM = "update runtime_version set version = version + 1 where version = $1 returning version"
CHANGE = """
insert into runtime_setting as setting (key, value, version, changed_by)
select key, value::json, $3, $4 from unnest($1::text[], $2::text[]) as changed(key, value)
on conflict (key) do update set value = excluded.value, version = excluded.version,
    changed_by = excluded.changed_by, changed_at = clock_timestamp()
"""
ANNOUNCE = "select pg_notify($1, $2)"


class PostgresRuntimeStore:
    """Reads and writes ``runtime_setting``; every change is announced."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def version(self) -> int:
        """See :class:`~composer_mcp.runtime.store.RuntimeStore`."""
        try:
            return int(await self._pool.fetchval(VERSION))
        except (*UNREACHABLE, asyncpg.PostgresError) as error:
            raise _unavailable("", error) from error

    async def read(self) -> Stored:
        """See :class:`~composer_mcp.runtime.store.RuntimeStore`."""
        try:
            return _stored(await self._pool.fetch(READ))
        except (*UNREACHABLE, asyncpg.PostgresError) as error:
            raise _unavailable("", error) from error

    async def change(self, values: Mapping[str, Any], *, expected: int, actor: str) -> Stored:
        """See :class:`~composer_mcp.runtime.store.RuntimeStore`."""
        texts = [None if value is None else json.dumps(value) for value in values.values()]
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                version = await connection.fetchval(CLAIM, expected)
                if version is None:
                    raise SETTINGS_CHANGED.error(expected=expected)
                await connection.execute(CHANGE, list(values), texts, version, actor)
                await connection.execute(ANNOUNCE, CHANNEL, str(version))
                return _stored(await connection.fetch(READ))
        except (*UNREACHABLE, asyncpg.PostgresError) as error:
            raise _unavailable("The settings may or may not be changed.", error) from error


def _stored(rows: list[asyncpg.Record]) -> Stored:
    overrides = {
        row["key"]: Override(
            row["key"],
            None if row["value"] is None else json.loads(row["value"]),
            row["version"],
            row["changed_at"],
            row["changed_by"],
        )
        for row in rows
        if row["key"] is not None
    }
    return Stored(rows[0]["newest"], overrides)


def _unavailable(state: str, error: Exception) -> Exception:
    return STORE_UNAVAILABLE.error(store="database", state=f"{state} ({type(error).__name__})".strip())
