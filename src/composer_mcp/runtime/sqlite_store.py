"""Changed settings on SQLite; see ``RuntimeStore`` for the promises."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from composer_mcp.errors import SETTINGS_CHANGED
from composer_mcp.runtime.store import Override, Stored

if TYPE_CHECKING:
    from composer_mcp.store.sqlite import Sqlite

VERSION = "select version from runtime_version"
READ = "select key, value, version, changed_at, changed_by from runtime_setting"
CLAIM = "update runtime_version set version = version + 1 where version = ?"
CHANGE = """
insert into runtime_setting (key, value, version, changed_at, changed_by) values (?, ?, ?, ?, ?)
on conflict (key) do update set value = excluded.value, version = excluded.version,
    changed_at = excluded.changed_at, changed_by = excluded.changed_by
"""


class SqliteRuntimeStore:
    """Reads and writes ``runtime_setting``; nobody is told, so whoever follows asks each second."""

    def __init__(self, database: Sqlite) -> None:
        self._database = database

    async def version(self) -> int:
        """See :class:`~composer_mcp.runtime.store.RuntimeStore`."""
        return await self._database.run(_version)

    async def read(self) -> Stored:
        """See :class:`~composer_mcp.runtime.store.RuntimeStore`."""
        return await self._database.run(_read)

    async def change(self, values: Mapping[str, Any], *, expected: int, actor: str) -> Stored:
        """See :class:`~composer_mcp.runtime.store.RuntimeStore`."""

        def transaction(connection: sqlite3.Connection) -> Stored:
            if connection.execute(CLAIM, (expected,)).rowcount == 0:
                raise SETTINGS_CHANGED.error(expected=expected)
            now = time.time()
            for key, value in values.items():
                text = None if value is None else json.dumps(value)
                connection.execute(CHANGE, (key, text, expected + 1, now, actor))
            return _read(connection)

        return await self._database.run(transaction, "The settings may or may not be changed.")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute(VERSION).fetchone()[0])


def _read(connection: sqlite3.Connection) -> Stored:
    overrides = {
        row["key"]: Override(
            row["key"],
            None if row["value"] is None else json.loads(row["value"]),
            row["version"],
            datetime.fromtimestamp(row["changed_at"], UTC),
            row["changed_by"],
        )
        for row in connection.execute(READ)
    }
    return Stored(_version(connection), overrides)
