"""The register of compositions on PostgreSQL; see ``CompositionRegistry`` for the promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import asyncpg

from composer_mcp.store.compositions import (
    SEARCH_LIMIT,
    CompositionEntry,
    fold,
    folded_tags,
    folded_text,
    key_of,
)
from composer_mcp.store.listener import Ear
from composer_mcp.store.patience import patiently

#: Also written in RECORD.
CHANNEL = "composer_composition"
#: ``xmax = 0`` tells an inserted row from an updated one.
RECORD = """
with before as (
    select title, description, author, tags from composition where key = $1
), saved as (
    insert into composition (key, tenant, uid, title, description, author, tags, folded_tags, folded)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    on conflict (key) do update
        set title = excluded.title, description = excluded.description, author = excluded.author,
            tags = excluded.tags, folded_tags = excluded.folded_tags, folded = excluded.folded,
            updated_at = clock_timestamp()
        where composition.tenant = excluded.tenant
    returning tenant, title, description, author, tags
)
select pg_notify('composer_composition', tenant) from saved
where not exists (
    select from before
    where (before.title, before.description, before.author, before.tags)
        = (saved.title, saved.description, saved.author, saved.tags)
)
"""
SEARCH = """
select uid, title, description, author, tags, created_at, updated_at from composition
where tenant = $1 and updated_at < coalesce($2, 'infinity'::timestamptz)
  and ($3::text is null or folded_tags @> array[$3::text])
  and not exists (select from unnest($4::text[]) word where strpos(folded, word) = 0)
order by updated_at desc limit $5
"""
STATE = "Nothing was changed."


class PostgresCompositions:
    """Reads and writes the table ``composition``.

    Whoever uses :meth:`changes` gives :attr:`ear` to the listener of the process.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @property
    def ear(self) -> Ear:
        """What the process must listen to."""
        return Ear(CHANNEL, self._wake, self._wake_all)

    async def record(
        self, tenant: str, uid: str, *, title: str, description: str, author: str, tags: Sequence[str]
    ) -> None:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        values = (
            key_of(uid),
            tenant,
            uid,
            title,
            description,
            author,
            list(tags),
            folded_tags(tags),
            folded_text(title, description, author, tags),
        )
        await patiently(lambda: self._pool.execute(RECORD, *values), STATE)

    async def owner(self, uid: str) -> str | None:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        found: str | None = await patiently(
            lambda: self._pool.fetchval("select tenant from composition where key = $1", key_of(uid)), STATE
        )
        return found

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
        folded_tag = None if tag is None else fold(tag)
        count = max(1, min(limit, SEARCH_LIMIT))
        rows = await patiently(
            lambda: self._pool.fetch(SEARCH, tenant, before, folded_tag, fold(text).split(), count), STATE
        )
        return [CompositionEntry(**{**row, "tags": tuple(row["tags"])}) for row in rows]

    async def changes(self, tenant: str) -> AsyncIterator[None]:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        changed = asyncio.Event()
        self._waiting.setdefault(tenant, set()).add(changed)
        try:
            while True:
                await changed.wait()
                changed.clear()
                yield None
        finally:
            waiting = self._waiting[tenant]
            waiting.discard(changed)
            if not waiting:
                del self._waiting[tenant]

    def _wake(self, tenant: str) -> None:
        for changed in self._waiting.get(tenant, ()):
            changed.set()

    def _wake_all(self) -> None:
        """Whatever was announced while the connection was away is lost, so everybody looks again."""
        for tenant in self._waiting:
            self._wake(tenant)
