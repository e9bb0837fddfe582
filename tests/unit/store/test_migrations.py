"""Migrations are found by their numbers, which may have gaps that a later release fills."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from composer_mcp.settings import ConfigurationError
from composer_mcp.store import migrate
from composer_mcp.store.sqlite import Sqlite

pytestmark = pytest.mark.anyio
APPLIED = "select version, checksum from schema_version"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("folder", ["migrations", "sqlite_migrations"])
def test_each_number_is_given_once(folder: str) -> None:
    numbers = [migration.version for migration in migrate.known(folder)]
    assert numbers == sorted(set(numbers)) and numbers[0] == 1


def migration(version: int, sql: str = "select 1") -> migrate.Migration:
    return migrate.Migration(version, f"number_{version}", sql)


def test_a_gap_is_filled_when_its_file_comes_later() -> None:
    one, four, seven = migration(1), migration(4), migration(7)
    applied = {1: one.checksum, 7: seven.checksum}
    assert migrate.plan(applied, [one, seven], None) == migrate.Plan([], [])
    assert migrate.plan(applied, [one, four, seven], None) == migrate.Plan([], [four])


def test_a_version_that_this_release_does_not_have_is_newer_even_below_its_newest() -> None:
    with pytest.raises(ConfigurationError, match="is at schema version 5, newer than this release"):
        migrate.verify({1: migration(1).checksum, 5: "x"}, [migration(1), migration(7)], "the database")


async def test_a_file_of_the_first_releases_is_taken_over(tmp_path: Path) -> None:
    """They kept the number of the newest migration and nothing else."""
    path = tmp_path / "composer.sqlite3"
    first, *later = migrate.known("sqlite_migrations")
    connection = sqlite3.connect(path)
    connection.executescript(f"{first.sql}; pragma user_version = 1")
    connection.close()
    for _ in range(2):
        async with Sqlite.open(path) as database:
            rows = await database.run(lambda connection: connection.execute(APPLIED).fetchall())
        assert [tuple(row) for row in rows] == [(each.version, each.checksum) for each in (first, *later)]
