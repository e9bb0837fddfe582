"""Runs steps of the schema with Alembic: its transactions, its steps, its book of what was applied.

Why Alembic, and why each file is a revision of its own and not a link of a chain:
``docs/decisions/0029-migrations.md``. Its book is the table ``schema_version``, which was there before it.
Imported only when there is something to do: a server that runs alone has not the time for it at each start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

from alembic.ddl.postgresql import PostgresqlImpl
from alembic.ddl.sqlite import SQLiteImpl
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script.base import Script
from alembic.script.revision import RevisionMap
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Float,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    column,
    func,
    literal_column,
    select,
    table,
)
from sqlalchemy.types import TypeDecorator

from composer_mcp.settings import ConfigurationError
from composer_mcp.store.migrate import Migration

LEDGER = "schema_version"


class Store(Protocol):
    """What differs between the databases."""

    def run(self, connection: Connection, script: str) -> None:
        """Run a file of several statements in the transaction that is under way."""

    def columns(self, connection: Connection) -> Mapping[tuple[str, str], str | None]:
        """Return each column of each table, by both names, with its default as SQL."""

    def applied(self, connection: Connection, versions: set[int]) -> None:
        """Note elsewhere which versions are applied now, if somebody looks there."""


class _Number(TypeDecorator[str]):
    """A version: a number in the table, a text to Alembic."""

    impl = Integer
    cache_ok = True

    def process_result_value(self, value: int | None, dialect: Dialect) -> str:
        """See :class:`~sqlalchemy.types.TypeDecorator`."""
        return str(value)


class _Ledger:
    """Gives Alembic our table for its book (its hook since 1.14)."""

    context_opts: dict[str, Any]

    def version_table_impl(self, *, version_table: str, **_options: object) -> Table:
        """See :class:`~alembic.ddl.impl.DefaultImpl`."""
        steps: Steps = self.context_opts["steps"]
        return Table(
            version_table,
            MetaData(),
            Column("version", _Number, key="version_num", primary_key=True, autoincrement=False),
            Column("name", Text, nullable=False, default=lambda: steps.current.name),
            Column("checksum", Text, nullable=False, default=lambda: steps.current.checksum),
            *steps.clock,
        )


class _PostgresLedger(_Ledger, PostgresqlImpl):
    __dialect__ = "postgresql"


class _SqliteLedger(_Ledger, SQLiteImpl):
    __dialect__ = "sqlite"


class Steps:
    """Goes steps forward or back on one connection, which must not be in a transaction."""

    def __init__(self, connection: Connection, store: Store) -> None:
        self._connection = connection
        self._store = store
        self.current = Migration(0, "", "")
        #: PostgreSQL has a default for the time.
        self.clock = (
            [Column("applied_at", Float, nullable=False, default=time.time)]
            if connection.dialect.name == "sqlite"
            else []
        )

    def forward(self, migrations: Sequence[Migration], *, together: bool) -> None:
        """Apply what is not applied yet; each in a transaction of its own, or all in one.

        Raises:
            ConfigurationError: Alembic and this process disagree about what is applied.
            DBAPIError, and what the driver raises: the database refused.
        """
        self._go(migrations, self._apply, upgrade=True, together=together)

    def back(self, migrations: Sequence[Migration], *, lose: bool) -> None:
        """Take back what is applied, all in one transaction.

        Raises:
            ConfigurationError: data would be lost, and ``lose`` does not say that it may be.
            DBAPIError, and what the driver raises: the database refused.
        """
        losses: list[str] = []

        def take_back(migration: Migration) -> None:
            if not lose:
                losses.extend(self._losses(migration))
            self._store.run(self._connection, migration.down or "")

        def refuse_losses() -> None:
            if losses:
                raise ConfigurationError(
                    f"this would lose {'; '.join(losses)}. Make a backup, and say --lose-data if it is "
                    "meant. Nothing was changed."
                )

        self._go(migrations, take_back, upgrade=False, together=True, before_commit=refuse_losses)

    def _apply(self, migration: Migration) -> None:
        self._store.run(self._connection, migration.sql)

    def _go(
        self,
        migrations: Sequence[Migration],
        go: Callable[[Migration], None],
        *,
        upgrade: bool,
        together: bool,
        before_commit: Callable[[], None] = lambda: None,
    ) -> None:
        def one(migration: Migration) -> Callable[[], None]:
            def step() -> None:
                self.current = migration
                go(migration)

            return step

        scripts = [_script(migration, one(migration)) for migration in migrations]
        revisions = RevisionMap(lambda: scripts)
        # The map completes the scripts when it is first asked for one.
        revisions.get_revisions([script.revision for script in scripts])

        def steps(heads: Sequence[str], _context: MigrationContext) -> Iterator[RevisionStep]:
            # Read again under the lock: another process may have gone the same steps meanwhile.
            for script in scripts:
                if (script.revision in heads) is not upgrade:
                    yield RevisionStep(revisions, script, upgrade)

        def applied(*, heads: set[str], **_details: object) -> None:
            self._store.applied(self._connection, {int(head) for head in heads})

        context = MigrationContext.configure(
            self._connection,
            opts={
                "fn": steps,
                "steps": self,
                "version_table": LEDGER,
                "transactional_ddl": True,
                "transaction_per_migration": not together,
                "on_version_apply": (applied,),
            },
        )
        with context.begin_transaction():
            context.run_migrations()
            before_commit()

    def _losses(self, migration: Migration) -> Iterator[str]:
        for what, query in migration.losses:
            if number := self._connection.exec_driver_sql(query).scalar_one():
                yield f"{what} ({number})"
        before = self._store.columns(self._connection)
        trial = self._connection.begin_nested()
        self._store.run(self._connection, migration.down or "")
        after = self._store.columns(self._connection)
        trial.rollback()
        kept = {name for name, _ in after}
        gone = sorted(set(before) - set(after))
        for name in sorted({name for name, _ in gone} - kept - migration.forgets):
            if number := self._count(select(func.count()).select_from(table(name))):
                yield f"table {name} ({number} rows)"
        for name, field in gone:
            if name not in kept or f"{name}.{field}" in migration.forgets:
                continue
            # What every row has by default is no news to anybody.
            usual: ColumnElement[object] = literal_column(f"({before[name, field] or 'null'})")
            filled = column(field).is_not(None) & column(field).is_distinct_from(usual)
            rows = select(func.count()).select_from(table(name)).where(filled)
            if number := self._count(rows):
                yield f"column {name}.{field} (in {number} rows)"

    def _count(self, query: Select[int]) -> int:
        return int(self._connection.execute(query).scalar_one())


def _script(migration: Migration, step: Callable[[], None]) -> Script:
    """Make a revision that stands on no other: what is applied is a set, so that gaps can be filled."""
    module = ModuleType(f"{migration.version:04}_{migration.name}")
    for name, value in {"down_revision": None, "upgrade": step, "downgrade": step}.items():
        setattr(module, name, value)
    return Script(module, str(migration.version), module.__name__)
