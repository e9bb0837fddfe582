"""The audit trail on SQLite, of a server that runs alone; see ``AuditStore`` for the promises."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer_mcp.audit.chain import Mark
from composer_mcp.audit.store import LOWEST, PAGE, Batch, Filter, Row, Trouble
from composer_mcp.errors import STORE_UNAVAILABLE, ComposerError
from composer_mcp.store.sqlite import BUSY_SECONDS, refuses_value

if TYPE_CHECKING:
    from composer_mcp.store.sqlite import Sqlite

INSERT = """
insert into audit (number, at, tenant, actor, action, outcome, line, key, hash)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
MARK = "select number, hash, key, seal from audit_mark where name = ?"
MAKE = "insert into audit_mark (name, number, hash, key, seal) values (?, ?, ?, ?, ?)"
MOVE = "update audit_mark set number = ?, hash = ?, key = ?, seal = ? where name = ?"
PAGES = """
select number, at, tenant, actor, action, outcome, line, key, hash from audit
where number > ? order by number limit ?
"""
FIND = """
select number, at, tenant, actor, action, outcome, line, key, hash from audit
where (?1 is null or at >= ?1) and (?2 is null or at < ?2) and (?3 is null or tenant = ?3)
  and (?4 is null or actor glob ?4) and (?5 is null or action glob ?5) and (?6 is null or outcome = ?6)
  and (?7 is null or json_extract(line, '$.correlation_id') = ?7) and (?8 is null or number < ?8)
order by number desc limit ?9
"""
BEFORE = """
select coalesce((select min(number) - 1 from audit where at >= ?), (select max(number) from audit), 0)
"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class SqliteAudit:
    """Keeps the trail in the file of a server that runs alone."""

    def __init__(self, database: Sqlite) -> None:
        self._database = database

    def trouble(self, error: Exception) -> Trouble:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        if refuses_value(error):
            return Trouble.REFUSED
        # What is left of these: the number is taken, by somebody who is no process of ours.
        lasting = isinstance(error.__cause__, sqlite3.IntegrityError) or not isinstance(error, ComposerError)
        return Trouble.LASTING if lasting else Trouble.AWAY

    async def head(self) -> Mark:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        return await self._database.run(lambda connection: _mark(connection, "head"))

    async def append(self, head: Mark, batch: Batch) -> bool:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""

        def transaction(connection: sqlite3.Connection) -> bool:
            if _mark(connection, "head")[:2] != head[:2]:
                return False
            entries = zip(batch.lines, batch.hashes, strict=True)
            connection.executemany(
                INSERT,
                (
                    (number, *_columns(line), line, batch.head.key, hash_)
                    for number, (line, hash_) in enumerate(entries, start=head.number + 1)
                ),
            )
            connection.execute(MOVE, (*batch.head, "head"))
            return True

        return await self._database.run(transaction)

    async def has(self, number: int, hash_: bytes) -> bool:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        query = "select 1 from audit where number = ? and hash = ?"
        found = await self._database.run(lambda c: c.execute(query, (number, hash_)).fetchone())
        return found is not None

    async def find(self, which: Filter, limit: int) -> Sequence[Row]:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        values = (
            which.since and _microseconds(which.since),
            which.until and _microseconds(which.until),
            which.tenant,
            which.actor and _pattern(which.actor),
            which.action and _pattern(which.action),
            which.outcome,
            which.correlation_id,
            which.before,
            limit,
        )
        rows = await self._database.run(lambda connection: connection.execute(FIND, values).fetchall())
        return [_row(row) for row in rows]

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[SqliteSnapshot]:
        """See :class:`~composer_mcp.audit.store.AuditStore`.

        On a connection of its own, which holds nobody up.
        """
        loop = asyncio.get_running_loop()
        path = await self._database.run(_path)
        with ThreadPoolExecutor(1, thread_name_prefix="audit") as thread:
            try:
                connection = await loop.run_in_executor(thread, _open, path)
                try:
                    marks = await loop.run_in_executor(thread, _begin, connection)
                    yield SqliteSnapshot(connection, thread, *marks)
                finally:
                    await loop.run_in_executor(thread, connection.close)
            except sqlite3.Error as error:
                raise STORE_UNAVAILABLE.error(store="database", state=f"({error})") from error

    async def forget(self, anchor: Mark, expected: Mark) -> int | None:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""

        def transaction(connection: sqlite3.Connection) -> int | None:
            if _mark(connection, "anchor") != expected:
                return None
            connection.execute(MOVE, (*anchor, "anchor"))
            return connection.execute("delete from audit where number <= ?", (anchor.number,)).rowcount

        return await self._database.run(transaction)

    async def restart(self, head: Mark, anchor: Mark) -> int:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""

        def transaction(connection: sqlite3.Connection) -> int:
            connection.execute("delete from audit_mark")
            connection.executemany(MAKE, (("head", *head), ("anchor", *anchor)))
            return connection.execute("delete from audit").rowcount

        return await self._database.run(transaction)


class SqliteSnapshot:
    """A reading transaction."""

    def __init__(
        self, connection: sqlite3.Connection, thread: ThreadPoolExecutor, head: Mark, anchor: Mark
    ) -> None:
        self._connection = connection
        self._thread = thread
        self.head = head
        self.anchor = anchor

    async def pages(self, after: int = LOWEST) -> AsyncIterator[Sequence[Row]]:
        """See :class:`~composer_mcp.audit.store.Snapshot`."""
        while rows := await self._fetch(PAGES, after, PAGE):
            yield [_row(row) for row in rows]
            after = rows[-1]["number"]

    async def number_before(self, moment: datetime) -> int:
        """See :class:`~composer_mcp.audit.store.Snapshot`."""
        ((number,),) = await self._fetch(BEFORE, _microseconds(moment))
        return int(number)

    async def _fetch(self, query: str, *values: object) -> list[Any]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, lambda: self._connection.execute(query, values).fetchall()
        )


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _begin(connection: sqlite3.Connection) -> tuple[Mark, Mark]:
    connection.execute("pragma query_only = on")
    connection.execute("begin")
    return _mark(connection, "head"), _mark(connection, "anchor")


def _path(connection: sqlite3.Connection) -> Path:
    return Path(connection.execute("pragma database_list").fetchone()["file"])


def _mark(connection: sqlite3.Connection, name: str) -> Mark:
    row = connection.execute(MARK, (name,)).fetchone()
    # A table without its marks was tampered with; a mark that no key has sealed says so to whoever looks.
    return Mark(-1) if row is None else Mark(*row)


def _columns(line: str) -> tuple[object, ...]:
    """Return what is searched by, taken out of a line."""
    told = json.loads(line)
    at = _microseconds(datetime.fromisoformat(told["at"]))
    return at, told["tenant"], told["actor"], told["action"], told["outcome"]


def _row(row: sqlite3.Row) -> Row:
    number, at, *rest = row
    return Row(number, EPOCH + timedelta(microseconds=at), *rest)


def _microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def _pattern(wanted: str) -> str:
    """Return what ``glob`` compares with: the text itself, or its beginning if it ends with ``*``."""
    escaped = re.sub(r"[*?\[]", r"[\g<0>]", wanted.removesuffix("*"))
    return escaped + "*" if wanted.endswith("*") else escaped
