"""Both stores, migrated and empty, for promises that hold on either.

A test that takes the fixture ``stores`` runs twice, on PostgreSQL and on SQLite::

    async def test_what_is_promised(stores: Stores) -> None:
        async with stores.open() as opened:
            registry = opened.either(PostgresCompositions, SqliteCompositions)

``either`` is given the pool of the application's role, or the open file. What is opened twice in one test
shares what is kept: two processes on PostgreSQL, one on SQLite. ``stores.rows`` looks into the tables as the
owner does.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
from pydantic import SecretStr

from composer_mcp.settings import DatabaseSettings
from composer_mcp.store import database, migrate_postgres, migrate_sqlite
from composer_mcp.store.migrate import Outcome
from composer_mcp.store.sqlite import Sqlite

from .postgres import OWNER_PASSWORD, PASSWORD, Postgres

T = TypeVar("T")
TEMPLATE = "stores_template"

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Opened:
    """One process's view of a store; one of the two is there."""

    pool: asyncpg.Pool | None = None
    #: How a listener connects.
    options: dict[str, Any] | None = None
    file: Sqlite | None = None

    def either(self, postgresql: Callable[[asyncpg.Pool], T], sqlite: Callable[[Sqlite], T]) -> T:
        if self.file is not None:
            return sqlite(self.file)
        assert self.pool is not None
        return postgresql(self.pool)


class Stores(ABC):
    """An empty store of one kind."""

    name: str

    @abstractmethod
    def open(self) -> contextlib.AbstractAsyncContextManager[Opened]:
        """Open it as the server does."""

    @abstractmethod
    def migrate(self, to: int | None = None, *, back: bool = False, lose: bool = False) -> Outcome:
        """Change its schema as ``composer-mcp migrate`` does."""

    @abstractmethod
    def schema(self) -> str:
        """Write its schema down, so that two can be compared."""

    @abstractmethod
    def run(self, statement: str) -> None:
        """Change it as its owner may."""

    @abstractmethod
    def rows(self, query: str) -> list[dict[str, Any]]:
        """Look into it as its owner does."""


class OnPostgres(Stores):
    name = "postgresql"

    def __init__(self, server: Postgres, database_name: str) -> None:
        self.server = server
        self.database = database_name
        self.settings = DatabaseSettings(
            hosts=[f"localhost:{server.port}"], name=database_name, authority=server.authority
        )

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Opened]:
        options = database.connection_options(self.settings, SecretStr(PASSWORD), application="test")
        pool = database.pool(options, size=4)
        async with pool:
            yield Opened(pool=pool, options=options)

    def migrate(self, to: int | None = None, *, back: bool = False, lose: bool = False) -> Outcome:
        password = SecretStr(OWNER_PASSWORD)
        return asyncio.run(migrate_postgres.migrate_to(self.settings, password, to, back=back, lose=lose))

    def schema(self) -> str:
        lines = self.server.dump_schema(self.database).splitlines()
        # Newer releases of pg_dump write a word of their own into each dump.
        return "\n".join(line for line in lines if line and not line.startswith(("--", "\\")))

    def run(self, statement: str) -> None:
        self.server.sql(self.database, statement)

    def rows(self, query: str) -> list[dict[str, Any]]:
        answer = self.server.sql(self.database, f"select coalesce(json_agg(q), '[]') from ({query}) q")
        found: list[dict[str, Any]] = json.loads(answer)
        return found


class OnSqlite(Stores):
    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Sqlite | None = None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Opened]:
        if self._file is not None:
            # One process has the file.
            yield Opened(file=self._file)
            return
        async with Sqlite.open(self.path) as file:
            self._file = file
            try:
                yield Opened(file=file)
            finally:
                self._file = None

    def migrate(self, to: int | None = None, *, back: bool = False, lose: bool = False) -> Outcome:
        return migrate_sqlite.migrate_to(self.path, to, back=back, lose=lose)

    def schema(self) -> str:
        # Altered tables keep their columns' texts with other white space than new ones.
        columns = (
            "select t.name, c.* from sqlite_schema t join pragma_table_info(t.name) c where t.type = 'table'"
        )
        indexes = "select name, tbl_name, sql from sqlite_schema where type <> 'table'"
        found = [list(row.values()) for query in (columns, indexes) for row in self.rows(query)]
        return "\n".join(sorted(map(str, found)))

    def run(self, statement: str) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(statement)

    def rows(self, query: str) -> list[dict[str, Any]]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]


@contextlib.contextmanager
def new_store(kind: str, postgres: Postgres, folder: Path, template: str | None = None) -> Iterator[Stores]:
    """Make a store without tables, or one as ``template`` is."""
    if kind == "sqlite":
        yield OnSqlite(folder / "composer.sqlite3")
        return
    name = f"stores_{next(_numbers)}"
    postgres.create_database(name, template)
    yield OnPostgres(postgres, name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def stores_template(postgres: Postgres) -> str:
    postgres.create_database(TEMPLATE)
    OnPostgres(postgres, TEMPLATE).migrate()
    return TEMPLATE


@pytest.fixture(params=["postgresql", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """A store with this release's tables, and nothing in them."""
    if request.param == "sqlite":
        store = OnSqlite(tmp_path / "composer.sqlite3")
        store.migrate()
        yield store
        return
    template = request.getfixturevalue("stores_template")
    with new_store(request.param, request.getfixturevalue("postgres"), tmp_path, template) as store:
        yield store


@pytest.fixture(params=["postgresql", "sqlite"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """A store without any tables."""
    with new_store(request.param, request.getfixturevalue("postgres"), tmp_path) as store:
        yield store
