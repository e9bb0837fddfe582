"""A trail on either store, and somebody who can do with its tables whatever the owner of the database can."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest

from composer_mcp.audit.chain import Keys
from composer_mcp.audit.entry import Entry, now
from composer_mcp.audit.postgres import PostgresAudit
from composer_mcp.audit.sqlite import SqliteAudit
from composer_mcp.audit.store import AuditStore
from composer_mcp.audit.trail import Trail
from composer_mcp.audit.verify import Verdict, verify
from composer_mcp.store import database
from composer_mcp.store.sqlite import Sqlite

from .support.installation import Platform

KEY = "a-key-of-the-trail-that-is-long-enough-for-it"
KEYS = Keys([KEY])


def entry(number: int = 0, **values: Any) -> Entry:
    usual: dict[str, Any] = {
        "at": now(),
        "tenant": "school",
        "actor": "https://issuer.test maria",
        "action": "tool.get_composition",
        "target": f"composition-{number}",
    }
    return Entry(**usual | values)


class Intruder(Protocol):
    """Writes to the tables past everything; ``?`` stands for values."""

    async def do(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement."""


class PostgresIntruder:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def do(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        parts = statement.split("?")
        numbered = "".join(f"{part}${number}" for number, part in enumerate(parts[:-1], 1)) + parts[-1]
        return [tuple(row) for row in await self._connection.fetch(numbered, *values)]


class SqliteIntruder:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def do(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()


class Stand:
    """A store, empty at the beginning of a test, and its intruder."""

    def __init__(self, store: AuditStore, owner: AuditStore, intruder: Intruder) -> None:
        self.store = store
        self.owner = owner
        self.intruder = intruder

    @contextlib.asynccontextmanager
    async def trail(self, keys: Keys = KEYS) -> AsyncIterator[Trail]:
        trail = Trail(self.store, keys)
        async with trail.run():
            yield trail

    async def record(self, count: int, keys: Keys = KEYS) -> None:
        async with self.trail(keys) as trail:
            for number in range(count):
                trail.note(entry(number))

    async def verify(self, keys: Keys = KEYS, **options: Any) -> Verdict:
        async with self.store.snapshot() as snapshot:
            return await verify(snapshot, keys, **options)

    async def rows(self, table: str) -> list[tuple[Any, ...]]:
        return await self.intruder.do(f"select * from {table} order by 1")

    async def lay(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Put rows in place of those that are there."""
        await self.intruder.do(f"delete from {table}")
        for row in rows:
            await self.intruder.do(f"insert into {table} values ({', '.join('?' * len(row))})", *row)


@contextlib.asynccontextmanager
async def postgres_stand(platform: Platform) -> AsyncIterator[Stand]:
    place, secrets = platform.settings.postgresql, platform.secrets
    options = database.connection_options(place, secrets.read("database-password"), application="test")
    owners = database.connection_options(
        place, secrets.read("database-owner-password"), application="test", user=place.owner
    )
    async with (
        database.pool(options, size=3) as pool,
        database.pool(owners, size=2) as owner,
        owner.acquire() as connection,
    ):
        yield Stand(PostgresAudit(pool), PostgresAudit(owner), PostgresIntruder(connection))


@contextlib.asynccontextmanager
async def sqlite_stand(folder: Path) -> AsyncIterator[Stand]:
    path = folder / "composer.sqlite3"
    async with Sqlite.open(path) as file:
        store = SqliteAudit(file)
        yield Stand(store, store, SqliteIntruder(path))


def stand_on(kind: str, request: pytest.FixtureRequest) -> contextlib.AbstractAsyncContextManager[Stand]:
    """Open a stand on ``postgres`` or ``sqlite``; what it needs is only then set up."""
    if kind == "postgres":
        return postgres_stand(request.getfixturevalue("platform"))
    return sqlite_stand(request.getfixturevalue("tmp_path"))


class Standing:
    """A stand in a loop of its own, for tests that try many things one after the other."""

    def __init__(self, opened: contextlib.AbstractAsyncContextManager[Stand]) -> None:
        self._loop = asyncio.new_event_loop()
        self._opened = opened
        self.stand = self.run(opened.__aenter__)

    def run(self, what: Callable[[], Any]) -> Any:
        return self._loop.run_until_complete(what())

    def close(self) -> None:
        self.run(lambda: self._opened.__aexit__(None, None, None))
        self._loop.close()


@contextlib.contextmanager
def standing(opened: contextlib.AbstractAsyncContextManager[Stand]) -> Iterator[Standing]:
    kept = Standing(opened)
    try:
        yield kept
    finally:
        kept.close()
