"""Schema migrations: ordered SQL files, each applied once, by the owner's role, under a lock.

Running it again changes nothing. PgQueuer brings its own tables up to date by its own means.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries

from composer_mcp.settings import ConfigurationError
from composer_mcp.store import database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import SecretStr

    from composer_mcp.settings import DatabaseSettings

#: Any constant will do, as long as nobody else in this database uses it.
LOCK = 7_023_400_521
FILE = re.compile(r"(\d{4})_([a-z0-9_]+)(?:\.(down|grants))?\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of ``migrations/``; its number is its place in the order."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Identifies the text that was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(slots=True)
class Outcome:
    """What a run did."""

    version: int
    steps: list[str] = field(default_factory=list)


def known(folder: str = "migrations") -> list[Migration]:
    """Return the migrations of this release, in order; numbers may be left out, and filled in later."""
    found = [Migration(number, name, text) for number, name, kind, text in _files(folder) if kind == "apply"]
    return sorted(found, key=lambda migration: migration.version)


def grants(folder: str = "migrations") -> list[str]:
    """Return what the migrations say of the application's rights, in their order."""
    return [text for _, _, kind, text in sorted(_files(folder)) if kind == "grants"]


def _files(folder: str) -> Iterator[tuple[int, str, str, str]]:
    """Read the folder's files as number, name, kind and text; its README says which kinds there are."""
    for file in resources.files("composer_mcp.store").joinpath(folder).iterdir():
        match = FILE.fullmatch(file.name)
        if match is not None:
            yield int(match[1]), match[2], match[3] or "apply", file.read_text()


def unapplied(applied: Mapping[int, str], migrations: Sequence[Migration], place: str) -> list[Migration]:
    """Return what has to be applied, in order; ``applied`` has the checksum of each version.

    Raises:
        ConfigurationError: the database is newer than this release, or an applied file was edited.
    """
    newer = sorted(set(applied) - {migration.version for migration in migrations})
    if newer:
        raise ConfigurationError(
            f"{place} is at schema version {newer[-1]}, newer than this release knows "
            f"({migrations[-1].version}). Install the newer release. Nothing was changed."
        )
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise ConfigurationError(
                f"migration {migration.version} ({migration.name}) was edited after it had been applied. "
                "Restore the file and add a new migration instead. Nothing was changed."
            )
    return [migration for migration in migrations if migration.version not in applied]


async def schema_version(connection: asyncpg.Connection | asyncpg.Pool) -> int:
    """Return the version of the schema in the database; 0 when there is none."""
    if await connection.fetchval("select to_regclass('schema_version')") is None:
        return 0
    return int(await connection.fetchval("select coalesce(max(version), 0) from schema_version"))


async def lacking(connection: asyncpg.Connection | asyncpg.Pool) -> str | None:
    """Return what the schema in the database lacks that this release needs; ``None`` if nothing."""
    applied: set[int] = set()
    if await connection.fetchval("select to_regclass('schema_version')") is not None:
        applied = {row["version"] for row in await connection.fetch("select version from schema_version")}
    missing = [migration.version for migration in known() if migration.version not in applied]
    if not missing:
        return None
    return f"schema version {max(applied, default=0)}, this release needs {missing[-1]}"


async def migrate(settings: DatabaseSettings, password: SecretStr) -> Outcome:
    """Bring the schema to this release's version.

    Raises:
        ConfigurationError: the database is newer than this release, or an applied file was edited.
        asyncpg.PostgresError, OSError: the database refused or cannot be reached.
    """
    options = database.connection_options(
        settings, password, application="composer-mcp migrate", user=settings.owner
    )
    # Waiting for another migration and building an index may take longer than an ordinary statement.
    connection: asyncpg.Connection = await asyncpg.connect(**options | {"command_timeout": 300})
    try:
        await connection.execute("select pg_advisory_lock($1)", LOCK)
        outcome = Outcome(version=0)
        await _queue_tables(connection, outcome)
        await _own_tables(connection, outcome)
        await _grant(connection, settings.user)
        outcome.version = await schema_version(connection)
        return outcome
    finally:
        await connection.close(timeout=5)


async def _queue_tables(connection: asyncpg.Connection, outcome: Outcome) -> None:
    queries = Queries(AsyncpgDriver(connection))
    if not await queries.schema_is_installed():
        await queries.install()
        outcome.steps.append("installed the queue's tables")
    elif (await queries.apply_upgrade()).statements:
        outcome.steps.append("upgraded the queue's tables")
    if outcome.steps:
        # Without frequent ANALYZE a burst of jobs makes every fetch thirty times slower.
        await queries.optimize_autovacuum()


async def _own_tables(connection: asyncpg.Connection, outcome: Outcome) -> None:
    await connection.execute(
        "create table if not exists schema_version (version integer primary key, name text not null, "
        "checksum text not null, applied_at timestamptz not null default now())"
    )
    applied = {
        row["version"]: row["checksum"]
        for row in await connection.fetch("select version, checksum from schema_version")
    }
    for migration in unapplied(applied, known(), "the database"):
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into schema_version (version, name, checksum) values ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
        outcome.steps.append(f"applied migration {migration.version} ({migration.name})")


async def _grant(connection: asyncpg.Connection, user: str) -> None:
    """Let the application's role read and write rows, and nothing else; a migration may allow it less."""
    application = await connection.fetchval("select format('%I', $1::text)", user)
    statements = [
        "grant usage on schema public to :application",
        "grant select, insert, update, delete on all tables in schema public to :application",
        "grant usage, select on all sequences in schema public to :application",
        "revoke insert, update, delete on schema_version from :application",
        *grants(),
    ]
    async with connection.transaction():
        for statement in statements:
            await connection.execute(statement.replace(":application", application))
