"""The register of compositions on SQLite; see ``CompositionRegistry`` for the promises."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from uuid import UUID
from weakref import WeakValueDictionary

from composer_mcp.errors import COMPOSITION_BUSY
from composer_mcp.store.compositions import (
    BUSY_SECONDS,
    SEARCH_LIMIT,
    Changes,
    CompositionEntry,
    fold,
    folded_tags,
    folded_text,
    key_of,
    keys_between,
)
from composer_mcp.store.sqlite import Sqlite

BEFORE = "select tenant, title, description, author, tags, version from composition where key = :key"
RECORD = """
insert into composition (key, tenant, uid, title, description, author, tags, folded_tags, folded, version,
                         created_at, updated_at)
values (:key, :tenant, :uid, :title, :description, :author, :tags, :folded_tags, :folded, :version,
        :now, :now)
on conflict (key) do update
    set title = excluded.title, description = excluded.description, author = excluded.author,
        tags = excluded.tags, folded_tags = excluded.folded_tags, folded = excluded.folded,
        version = excluded.version,
        updated_at = case
            when (composition.title, composition.description, composition.author, composition.tags,
                  composition.version)
                is not
                 (excluded.title, excluded.description, excluded.author, excluded.tags, excluded.version)
            then excluded.updated_at else composition.updated_at end
    where composition.tenant = excluded.tenant
"""
FIND = "select uid from composition where key between ? and ? and tenant = ?"
SEARCH = """
select uid, title, description, author, tags, created_at, updated_at from composition
where tenant = :tenant and updated_at < :before
  and (:tag is null or exists (select 1 from json_each(folded_tags) where value = :tag))
  and not exists (select 1 from json_each(:words) as word where instr(folded, word.value) = 0)
order by updated_at desc limit :count
"""
STATE = "Nothing was changed."


class SqliteCompositions:
    """Reads and writes the table ``composition``; one process writes it, so changes are told in memory."""

    def __init__(self, database: Sqlite) -> None:
        self._database = database
        self._changes = Changes()
        # Forgotten as soon as nobody holds or awaits it.
        self._changing: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def record(
        self,
        tenant: str,
        uid: str,
        *,
        title: str,
        description: str,
        author: str,
        tags: Sequence[str],
        version: str,
    ) -> None:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        shown = {
            "tenant": tenant,
            "title": title,
            "description": description,
            "author": author,
            "tags": json.dumps(list(tags)),
            "version": version,
        }
        values = shown | {
            "key": key_of(uid),
            "uid": uid,
            "folded_tags": json.dumps(list(folded_tags(tags))),
            "folded": folded_text(title, description, author, tags),
            # What a datetime can hold, so that a search goes on exactly where it ended.
            "now": round(time.time(), 6),
        }

        def write(connection: sqlite3.Connection) -> bool:
            before = connection.execute(BEFORE, values).fetchone()
            written = connection.execute(RECORD, values).rowcount > 0
            return written and (before is None or dict(before) != shown)

        if await self._database.run(write, STATE):
            self._changes.tell(tenant)

    async def owner(self, uid: str) -> str | None:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        row = await self._database.run(
            lambda connection: connection.execute(BEFORE, {"key": key_of(uid)}).fetchone(), STATE
        )
        return None if row is None else str(row["tenant"])

    @contextlib.asynccontextmanager
    async def exclusively(self, uid: str, job_id: UUID, owner: UUID) -> AsyncIterator[None]:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`.

        All attempts are of this process, and each holds the lock itself: also one that has lost its job is
        waited for, and none can let go for another.
        """
        lock = self._changing.setdefault(key_of(uid), asyncio.Lock())
        try:
            async with asyncio.timeout(BUSY_SECONDS):
                await lock.acquire()
        except TimeoutError:
            raise COMPOSITION_BUSY.error(seconds=round(BUSY_SECONDS)) from None
        try:
            yield
        finally:
            lock.release()

    async def find(self, tenant: str, short_id: str) -> str | None:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        values = (*keys_between(short_id), tenant)
        row = await self._database.run(lambda connection: connection.execute(FIND, values).fetchone(), STATE)
        return None if row is None else str(row["uid"])

    async def search(
        self,
        tenant: str,
        *,
        text: str = "",
        tag: str | None = None,
        limit: int = 20,
        before: datetime | None = None,
    ) -> list[CompositionEntry]:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        values = {
            "tenant": tenant,
            "before": float("inf") if before is None else before.timestamp(),
            "tag": None if tag is None else fold(tag),
            "words": json.dumps(fold(text).split()),
            "count": max(1, min(limit, SEARCH_LIMIT)),
        }
        rows = await self._database.run(
            lambda connection: connection.execute(SEARCH, values).fetchall(), STATE
        )
        return [_entry(row) for row in rows]

    def changes(self, tenant: str) -> AsyncIterator[None]:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        return self._changes.of(tenant)


def _entry(row: sqlite3.Row) -> CompositionEntry:
    times = {name: datetime.fromtimestamp(row[name], UTC) for name in ("created_at", "updated_at")}
    return CompositionEntry(**{**row, **times, "tags": tuple(json.loads(row["tags"]))})
