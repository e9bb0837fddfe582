"""Changes the schema in PostgreSQL, as the owner's role, one process at a time.

PgQueuer brings its own tables up to date by its own means. Statements of running processes come first: a step
that has to wait for a table lets go after a moment and tries again, so that they do not queue up behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries

from composer_mcp.settings import ConfigurationError
from composer_mcp.store import database, migrate
from composer_mcp.store.migrate import Applied, Outcome, Plan

if TYPE_CHECKING:
    from pydantic import SecretStr
    from sqlalchemy import Connection

    from composer_mcp.settings import DatabaseSettings
    from composer_mcp.store.migrate_alembic import Steps

#: Any constant will do, as long as nobody else in this database uses it.
LOCK = 7_023_400_521
#: Another migration may build an index; the play that runs this ends it after 300 s.
TURN_SECONDS = 200
#: How long a step waits for a table that a running process uses, and for how long it is tried again.
TABLE_SECONDS = 2
PATIENCE_SECONDS = 60.0
#: An index over a large table, but no longer than a play waits.
STATEMENT_SECONDS = 280

LEDGER = """
create table if not exists schema_version (
    version integer primary key, name text not null, checksum text not null,
    applied_at timestamptz not null default now()
)
"""
APPLIED = "select version, name, checksum, applied_at from schema_version order by version"
COLUMNS = """
select table_name, column_name, column_default from information_schema.columns
where table_schema = current_schema()
"""
HOLDERS = """
select distinct a.pid, a.application_name, a.client_addr, now() - a.xact_start as since
from pg_locks l join pg_stat_activity a using (pid)
where l.relation is not null and a.xact_start < now() - interval '1 second' and a.pid <> pg_backend_pid()
      and a.datname = current_database()
order by since desc limit 3
"""


async def migrate_to(
    settings: DatabaseSettings,
    password: SecretStr,
    target: int | None = None,
    *,
    back: bool = False,
    lose: bool = False,
) -> Outcome:
    """Bring the schema to ``target``, or to this release's version.

    Raises:
        ConfigurationError: the database is newer than this release, an applied file was edited, or the steps
            are not what the caller allowed.
        asyncpg.PostgresError, OSError: the database refused or cannot be reached.
    """
    migrations = migrate.known()
    async with _connected(settings, password) as connection:
        await _take_turn(connection)
        outcome = Outcome(version=0)
        await connection.execute(LEDGER)
        before = await _applied(connection)
        migrate.verify(_checksums(before), migrations, "the database")
        steps = migrate.plan(_checksums(before), migrations, target)
        migrate.permit(steps, back=back)
        if target != 0:
            await _queue_tables(connection, outcome)
        if steps.back or steps.forward:
            await _patiently(connection, lambda: _go(connection, steps, lose=lose))
        now = await _applied(connection)
        if target == 0 and steps.back:
            await Queries(AsyncpgDriver(connection)).uninstall()
            outcome.steps.append("removed the queue's tables")
        await _grant(connection, settings.user, [each for each in migrations if each.version in now])
        for migration in [*steps.back, *steps.forward]:
            verb = "applied" if migration.version in now else "took back"
            outcome.steps.append(f"{verb} migration {migration.version} ({migration.name})")
        outcome.version = max(now, default=0)
        return outcome


async def look(
    settings: DatabaseSettings, password: SecretStr, target: int | None = None
) -> tuple[list[Applied], Plan]:
    """Return what is applied, and which steps lead to ``target``; nothing is changed.

    Raises:
        ConfigurationError, asyncpg.PostgresError, OSError: as :func:`migrate_to`.
    """
    migrations = migrate.known()
    async with _connected(settings, password) as connection:
        found = {}
        if await connection.fetchval("select to_regclass('schema_version')") is not None:
            found = await _applied(connection)
    migrate.verify(_checksums(found), migrations, "the database")
    return list(found.values()), migrate.plan(_checksums(found), migrations, target)


@contextlib.asynccontextmanager
async def _connected(settings: DatabaseSettings, password: SecretStr) -> AsyncIterator[asyncpg.Connection]:
    options = database.connection_options(
        settings, password, application="composer-mcp migrate", user=settings.owner
    )
    connection: asyncpg.Connection = await asyncpg.connect(**options | {"command_timeout": STATEMENT_SECONDS})
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def _take_turn(connection: asyncpg.Connection) -> None:
    try:
        await connection.execute(f"set lock_timeout = '{TURN_SECONDS}s'")
        await connection.execute("select pg_advisory_lock($1)", LOCK)
    except asyncpg.LockNotAvailableError as error:
        raise ConfigurationError(
            f"another migration has been running for more than {TURN_SECONDS} s. Nothing was changed. See "
            "in pg_stat_activity what 'composer-mcp migrate' waits for, and run this again when it has ended."
        ) from error
    await connection.execute(f"set lock_timeout = '{TABLE_SECONDS}s'")


async def _patiently(connection: asyncpg.Connection, go: Callable[[], Any]) -> None:
    """Try until the tables can be had; steps that were done stay done, and are not done again."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            await go()
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            if time.monotonic() < give_up:
                await asyncio.sleep(1)
                continue
            holders = "; ".join(
                f"process {row['pid']} ({row['application_name']}, {row['client_addr']}) for {row['since']}"
                for row in await connection.fetch(HOLDERS)
            )
            raise ConfigurationError(
                f"a table could not be changed for {PATIENCE_SECONDS:.0f} s, because it is in use by "
                f"{holders or 'another process'}. Steps that were done stay done; end that and run it again."
            ) from error
        return


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


async def _go(connection: asyncpg.Connection, steps: Plan, *, lose: bool) -> None:
    migrate.hush()
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import StaticPool

    from composer_mcp.store import migrate_alembic

    async def the_connection() -> asyncpg.Connection:
        return connection

    def go(sync: Connection) -> None:
        runner: Steps = migrate_alembic.Steps(sync, _Postgres())
        if steps.back:
            runner.back(steps.back, lose=lose)
        if steps.forward:
            runner.forward(steps.forward, together=False)

    # On the one connection that holds the lock; it stays open when the engine gives it back.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=the_connection, poolclass=StaticPool)
    with _drivers_own_errors():
        async with engine.connect() as borrowed:
            await borrowed.run_sync(go)


@contextlib.contextmanager
def _drivers_own_errors() -> Iterator[None]:
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig is not None else None
        if isinstance(cause, (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            raise cause from error
        raise


class _Postgres:
    """See :class:`~composer_mcp.store.migrate_alembic.Store`."""

    def run(self, connection: Connection, script: str) -> None:
        # The first statement of SQLAlchemy's own begins the transaction; what goes past it to the driver,
        # because it is several statements, does not.
        connection.exec_driver_sql("select 1")
        driver: Any = connection.connection.dbapi_connection
        driver.run_async(lambda raw: raw.execute(script))

    def columns(self, connection: Connection) -> dict[tuple[str, str], str | None]:
        return {(row[0], row[1]): row[2] for row in connection.exec_driver_sql(COLUMNS)}

    def applied(self, connection: Connection, versions: set[int]) -> None:
        """Nobody looks elsewhere."""


async def _applied(connection: asyncpg.Connection) -> dict[int, Applied]:
    return {
        row["version"]: Applied(row["version"], row["name"], row["checksum"], row["applied_at"].isoformat())
        for row in await connection.fetch(APPLIED)
    }


def _checksums(applied: dict[int, Applied]) -> dict[int, str]:
    return {version: entry.checksum for version, entry in applied.items()}


async def _grant(connection: asyncpg.Connection, user: str, applied: list[migrate.Migration]) -> None:
    """Let the application's role read and write rows, and nothing else; a migration may allow it less."""
    application = await connection.fetchval("select format('%I', $1::text)", user)
    statements = [
        "grant usage on schema public to :application",
        "grant select, insert, update, delete on all tables in schema public to :application",
        "grant usage, select on all sequences in schema public to :application",
        "revoke insert, update, delete on schema_version from :application",
        *(migration.grants for migration in applied if migration.grants),
    ]
    async with connection.transaction():
        for statement in statements:
            await connection.execute(statement.replace(":application", application))
