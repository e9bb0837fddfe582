"""The audit trail on PostgreSQL; see ``AuditStore`` for the promises.

Appending is one statement, which does nothing if somebody else has appended since the head was read. A lock
that is held from reading the head to moving it would cost two more questions and their answers each time, and
a process that is frozen meanwhile would hold everybody up.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from composer_mcp.audit.chain import Mark
from composer_mcp.audit.store import LOWEST, PAGE, Batch, Filter, Row, Trouble
from composer_mcp.store.database import UNREACHABLE, refuses_value

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

MARK = "select number, hash, key, seal from audit_mark where name = $1"
APPEND = "select audit_append($1, $2, $3::text[], $4::bytea[], $5, $6)"
HAS = "select exists(select from audit where number = $1 and hash = $2)"
PAGES = """
select number, at, tenant, actor, action, outcome, line, key, hash from audit
where number > $1 order by number
"""
#: ``like`` knows no other special characters than those that are escaped in the pattern.
FIND = """
select number, at, tenant, actor, action, outcome, line, key, hash from audit
where ($1::timestamptz is null or at >= $1) and ($2::timestamptz is null or at < $2)
  and ($3::text is null or tenant = $3) and ($4::text is null or actor like $4)
  and ($5::text is null or action like $5) and ($6::text is null or outcome = $6)
  and ($7::text is null or line::json ->> 'correlation_id' = $7) and ($8::bigint is null or number < $8)
order by number desc limit $9
"""
BEFORE = """
select coalesce((select min(number) - 1 from audit where at >= $1), (select max(number) from audit), 0)
"""
MOVE = "update audit_mark set number = $2, hash = $3, key = $4, seal = $5 where name = $1"
MOVE_FROM = MOVE + " and number = $6 and hash = $7 returning true"
MAKE = "insert into audit_mark (name, number, hash, key, seal) values ($1, $2, $3, $4, $5)"


class PostgresAudit:
    """Keeps the trail of a platform."""

    def __init__(self, pool: asyncpg.Pool | asyncpg.Connection) -> None:
        self._pool = pool

    def trouble(self, error: Exception) -> Trouble:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        if refuses_value(error):
            return Trouble.REFUSED
        return Trouble.AWAY if isinstance(error, UNREACHABLE) else Trouble.LASTING

    async def head(self) -> Mark:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        return await _mark(self._pool, "head")

    async def append(self, head: Mark, batch: Batch) -> bool:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        lines, hashes, to = batch
        return bool(await self._pool.fetchval(APPEND, head.number, head.hash, lines, hashes, to.key, to.seal))

    async def has(self, number: int, hash_: bytes) -> bool:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        return bool(await self._pool.fetchval(HAS, number, hash_))

    async def find(self, which: Filter, limit: int) -> Sequence[Row]:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        rows = await self._pool.fetch(
            FIND,
            which.since,
            which.until,
            which.tenant,
            which.actor and _pattern(which.actor),
            which.action and _pattern(which.action),
            which.outcome,
            which.correlation_id,
            which.before,
            limit,
        )
        return [Row(*row) for row in rows]

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[PostgresSnapshot]:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        async with (
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            marks = [await _mark(connection, name) for name in ("head", "anchor")]
            yield PostgresSnapshot(connection, *marks)

    async def forget(self, anchor: Mark, expected: Mark) -> int | None:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        async with self._connection() as connection, connection.transaction():
            if not await connection.fetchval(
                MOVE_FROM,
                "anchor",
                *anchor,
                expected.number,
                expected.hash,
            ):
                return None
            return _count(await connection.execute("delete from audit where number <= $1", anchor.number))

    async def restart(self, head: Mark, anchor: Mark) -> int:
        """See :class:`~composer_mcp.audit.store.AuditStore`."""
        async with self._connection() as connection, connection.transaction():
            await connection.execute("delete from audit_mark")
            for name, mark in (("head", head), ("anchor", anchor)):
                await connection.execute(MAKE, name, *mark)
            return _count(await connection.execute("delete from audit"))

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        if isinstance(self._pool, asyncpg.Connection):
            yield self._pool
        else:
            async with self._pool.acquire() as connection:
                yield connection


class PostgresSnapshot:
    """A transaction that sees one moment."""

    def __init__(self, connection: Connection, head: Mark, anchor: Mark) -> None:
        self._connection = connection
        self.head = head
        self.anchor = anchor

    async def pages(self, after: int = LOWEST) -> AsyncIterator[Sequence[Row]]:
        """See :class:`~composer_mcp.audit.store.Snapshot`."""
        cursor = await self._connection.cursor(PAGES, after)
        while rows := await cursor.fetch(PAGE):
            yield [Row(*row) for row in rows]

    async def number_before(self, moment: datetime) -> int:
        """See :class:`~composer_mcp.audit.store.Snapshot`."""
        return int(await self._connection.fetchval(BEFORE, moment))


async def _mark(source: asyncpg.Pool | Connection, name: str) -> Mark:
    row = await source.fetchrow(MARK, name)
    # A table without its marks was tampered with; a mark that no key has sealed says so to whoever looks.
    return Mark(-1) if row is None else Mark(*row)


def _count(status: str) -> int:
    """Return how many rows a statement says to have removed."""
    return int(status.rpartition(" ")[2])


def _pattern(wanted: str) -> str:
    """Return what ``like`` compares with: the text itself, or its beginning if it ends with ``*``."""
    escaped = wanted.removesuffix("*").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped + "%" if wanted.endswith("*") else escaped
