"""The database of a server that runs alone: one SQLite file, one connection, one thread.

A transaction is one function that runs in that thread from beginning to end. Nothing can come between its
statements, and a caller that goes away cannot leave it half done. Why the standard library's driver in a
thread, and nothing else: ``docs/decisions/0018-embedded-store.md``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from composer_mcp.errors import STORE_UNAVAILABLE, ComposerError
from composer_mcp.settings import ConfigurationError
from composer_mcp.store import migrate_sqlite

T = TypeVar("T")

#: Nobody else writes to the file, but somebody may look into it with a tool that locks it for a moment.
BUSY_SECONDS = 5.0
PRAGMAS = (
    "pragma journal_mode = wal",
    # Each commit is on disk before it is told: an accepted job survives a power cut.
    "pragma synchronous = full",
    "pragma foreign_keys = on",
)

#: Constraints that say something about what else is in the table.
_KEYS = frozenset({"SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_ROWID"})


def refuses_value(error: BaseException) -> bool:
    """Whether an error of :meth:`Sqlite.run` is about values, and so comes again with them.

    To be asked before whether the database is away.
    """
    if isinstance(error, ComposerError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, sqlite3.IntegrityError):
        return error.sqlite_errorname not in _KEYS
    # Of a value that cannot be bound, different releases of Python say it with either of the first two.
    kinds = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
    others = (ValueError, TypeError, ArithmeticError, RecursionError)
    return isinstance(error, (*kinds, *others))


class Sqlite:
    """Runs transactions, one after another."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[Sqlite]:
        """Open the file, make it if there is none, and bring its schema to this release's version.

        Raises:
            ConfigurationError: it cannot be opened, is no database, or belongs to a newer release.
        """
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="sqlite") as thread:
            connection = await loop.run_in_executor(thread, _connect, path)
            try:
                yield cls(connection, thread)
            finally:
                await loop.run_in_executor(thread, connection.close)

    async def run(self, transaction: Callable[[sqlite3.Connection], T], state: str = "") -> T:
        """Run one transaction; it is committed unless it raises.

        A caller who is cancelled meanwhile leaves it done or never begun.

        ``state`` tells the caller what is known of his request if it fails.

        Raises:
            store_unavailable: the disk is full, gone or damaged.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._run, transaction)
        except sqlite3.Error as error:
            raise STORE_UNAVAILABLE.error(store="database", state=f"{state} ({error})".strip()) from error

    def _run(self, transaction: Callable[[sqlite3.Connection], T]) -> T:
        self._connection.execute("begin immediate")
        try:
            result = transaction(self._connection)
            self._connection.execute("commit")
        except BaseException:
            # Some errors, a full disk among them, have ended the transaction already.
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            raise
        return result


def _connect(path: Path) -> sqlite3.Connection:
    try:
        migrate_sqlite.migrate_to(path)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        connection.row_factory = sqlite3.Row
        for pragma in PRAGMAS:
            connection.execute(pragma)
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"the database {path} cannot be used: {error}. If it is damaged, move it and its neighbours -wal "
            "and -shm away: a new one is made. What was saved in Composer stays; what is lost are results of "
            "earlier calls and the list by which compositions are found."
        ) from error
    return connection
