"""The database of a server alone: transactions are whole, and what is wrong with the file is told."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.settings import ConfigurationError
from composer_mcp.store import migrate
from composer_mcp.store.sqlite import Sqlite

pytestmark = pytest.mark.anyio
COUNT = "select count(*) from composition"
INSERT = "insert into composition values (?, 't', 'u', '', '', '', '[]', '[]', '', 1.0, 1.0, null)"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "composer.sqlite3"


def insert(connection: sqlite3.Connection, key: bytes = b"k") -> None:
    connection.execute(INSERT, (key,))


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute(COUNT).fetchone()[0])


async def test_the_schema_is_made_once_and_is_on_disk_at_every_commit(path: Path) -> None:
    for rows in range(2):
        async with Sqlite.open(path) as database:
            assert await database.run(count) == rows
            await database.run(lambda connection: insert(connection, b"k%d" % count(connection)))
            settings = await database.run(
                lambda connection: [
                    connection.execute(f"pragma {name}").fetchone()[0]
                    for name in ("journal_mode", "synchronous", "user_version")
                ]
            )
    assert settings == ["wal", 2, migrate.known("sqlite_migrations")[-1].version]


async def test_a_transaction_that_fails_leaves_nothing_behind(path: Path) -> None:
    def half(connection: sqlite3.Connection) -> None:
        insert(connection)
        raise RuntimeError("in the middle")

    async with Sqlite.open(path) as database:
        with pytest.raises(RuntimeError, match="in the middle"):
            await database.run(half)
        assert await database.run(count) == 0
        await database.run(insert)
        with pytest.raises(ComposerError) as failure:
            await database.run(insert, "The state is known.")
        assert failure.value.code.code == "store_unavailable"
        assert "The state is known. (UNIQUE" in failure.value.sentence
        assert await database.run(count) == 1


async def test_a_caller_that_leaves_does_not_break_a_transaction_off(path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(connection: sqlite3.Connection) -> None:
        insert(connection)
        begun.set()
        go_on.wait(5)
        insert(connection, b"second")

    async with Sqlite.open(path) as database:
        call = asyncio.create_task(database.run(slowly))
        assert await asyncio.to_thread(begun.wait, 5)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        go_on.set()
        assert await database.run(count) == 2


async def test_a_newer_database_is_left_alone(path: Path) -> None:
    async with Sqlite.open(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("pragma user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match=r"schema version 99, newer than.*Nothing was changed"):
        async with Sqlite.open(path):
            raise AssertionError("it was opened")


@pytest.fixture
def no_database(path: Path) -> Iterator[Path]:
    content = b"not a database " * 1000
    path.write_bytes(content)
    yield path
    assert path.read_bytes() == content


async def test_a_file_that_is_no_database_is_left_alone_and_named_with_what_to_do(no_database: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"composer\.sqlite3 cannot be used.*move it"):
        async with Sqlite.open(no_database):
            raise AssertionError("it was opened")


async def test_a_full_disk_is_told_and_survived(path: Path) -> None:
    async with Sqlite.open(path) as database:
        (pages,) = await database.run(lambda connection: connection.execute("pragma page_count").fetchone())
        await database.run(
            lambda connection: connection.execute(f"pragma max_page_count = {pages}").fetchone()
        )

        def fill(connection: sqlite3.Connection) -> None:
            for number in range(1000):
                connection.execute(INSERT.replace("'u'", "?"), (b"k%d" % number, "u" * 1000))

        with pytest.raises(ComposerError, match=r"does not answer as it should.*full"):
            await database.run(fill)
        assert await database.run(count) == 0
