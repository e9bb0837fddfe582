"""Changes the schema of a server that runs alone, in its one file, all steps in one transaction."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

from composer_mcp.store import migrate
from composer_mcp.store.migrate import Applied, Migration, Outcome, Plan

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from composer_mcp.store.migrate_alembic import Steps

FOLDER = "sqlite_migrations"
#: Another process that changes the schema at the same time is waited for.
BUSY_SECONDS = 30.0

LEDGER = """
create table schema_version (
    version integer primary key, name text not null, checksum text not null, applied_at real not null
) strict
"""
HAS_LEDGER = "select 1 from sqlite_schema where name = 'schema_version'"
NOTE = "insert into schema_version (version, name, checksum, applied_at) values (?, ?, ?, ?)"
APPLIED = "select version, name, checksum, applied_at from schema_version order by version"
COLUMNS = """
select t.name, c.name, c.dflt_value from sqlite_schema t join pragma_table_info(t.name) c
where t.type = 'table'
"""


def migrate_to(path: Path, target: int | None = None, *, back: bool = False, lose: bool = False) -> Outcome:
    """Bring the schema of a file, which is made if there is none, to ``target`` or this release's version.

    Raises:
        ConfigurationError: the file is newer than this release, an applied migration was edited, or the steps
            are not what the caller allowed.
        sqlite3.Error: the file refused.
    """
    migrations = migrate.known(FOLDER)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        before = _applied(connection, migrations)
    finally:
        connection.close()
    checksums = {entry.version: entry.checksum for entry in before}
    migrate.verify(checksums, migrations, f"the database {path}")
    steps = migrate.plan(checksums, migrations, target)
    migrate.permit(steps, back=back)
    if steps.back or steps.forward:
        _go(path, steps, lose=lose)
    outcome = Outcome(version=max({*checksums} - {each.version for each in steps.back}, default=0))
    outcome.steps += [f"took back migration {each.version} ({each.name})" for each in steps.back]
    outcome.steps += [f"applied migration {each.version} ({each.name})" for each in steps.forward]
    outcome.version = max([outcome.version, *(each.version for each in steps.forward)])
    return outcome


def look(path: Path, target: int | None = None) -> tuple[list[Applied], Plan]:
    """Return what is applied, and which steps lead to ``target``; nothing is changed.

    Raises:
        ConfigurationError, sqlite3.Error: as :func:`migrate_to`.
    """
    migrations = migrate.known(FOLDER)
    applied: list[Applied] = []
    if path.exists():
        # Not read-only: what a process that was killed left half done has to be undone before it is read.
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            applied = _applied(connection, migrations, write=False)
        finally:
            connection.close()
    checksums = {entry.version: entry.checksum for entry in applied}
    migrate.verify(checksums, migrations, f"the database {path}")
    return applied, migrate.plan(checksums, migrations, target)


def _applied(
    connection: sqlite3.Connection, migrations: list[Migration], *, write: bool = True
) -> list[Applied]:
    """Read the book; one that was not kept yet is begun with what the first releases noted, a number."""
    (version,) = connection.execute("pragma user_version").fetchone()
    if version > migrations[-1].version:
        return [Applied(version, "", "", "")]
    if connection.execute(HAS_LEDGER).fetchone() is None:
        old = [each for each in migrations if each.version <= version]
        if not write:
            return [Applied(each.version, each.name, each.checksum, "") for each in old]
        connection.execute("begin immediate")
        if connection.execute(HAS_LEDGER).fetchone() is None:
            connection.execute(LEDGER)
            for each in old:
                connection.execute(NOTE, (each.version, each.name, each.checksum, time.time()))
        connection.execute("commit")
    return [
        Applied(version, name, checksum, time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at)))
        for version, name, checksum, at in connection.execute(APPLIED).fetchall()
    ]


def _go(path: Path, steps: Plan, *, lose: bool) -> None:
    migrate.hush()
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    from composer_mcp.store import migrate_alembic

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        connection.execute("pragma foreign_keys = on")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Held from before the book is read, so that two processes do not both apply what they saw missing.
        connection.exec_driver_sql("begin immediate")

    try:
        with engine.connect() as connection:
            runner: Steps = migrate_alembic.Steps(connection, _Sqlite())
            if steps.back:
                runner.back(steps.back, lose=lose)
            if steps.forward:
                runner.forward(steps.forward, together=True)
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise error.orig from error
        raise


class _Sqlite:
    """See :class:`~composer_mcp.store.migrate_alembic.Store`."""

    def run(self, connection: Connection, script: str) -> None:
        for statement in statements(script):
            connection.exec_driver_sql(statement)

    def columns(self, connection: Connection) -> dict[tuple[str, str], str | None]:
        return {(row[0], row[1]): row[2] for row in connection.exec_driver_sql(COLUMNS)}

    def applied(self, connection: Connection, versions: set[int]) -> None:
        # What a release looks at that knows no book.
        connection.exec_driver_sql(f"pragma user_version = {max(versions, default=0)}")


def statements(script: str) -> list[str]:
    """Split a file into its statements, as SQLite itself sees their ends.

    The driver's own ``executescript`` would commit what is under way.
    """
    found, pending = [], ""
    *ended, rest = script.split(";")
    for part in ended:
        pending += part + ";"
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    # What follows the last semicolon is a comment or nothing, or else SQLite says what is wrong with it.
    return [*found, pending + rest] if (pending + rest).strip() else found
