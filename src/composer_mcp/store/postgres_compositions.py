"""The register of compositions on PostgreSQL; see ``CompositionRegistry`` for the promises."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from composer_mcp.errors import COMPOSITION_BUSY
from composer_mcp.store import database
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
from composer_mcp.store.listener import Ear
from composer_mcp.store.patience import patiently

#: Also written in RECORD.
CHANNEL = "composer_composition"
#: A row that is new or differs gets a time of this statement's; only such a one is announced.
RECORD = """
with saved as (
    insert into composition (key, tenant, uid, title, description, author, tags, folded_tags, folded, version)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    on conflict (key) do update
        set title = excluded.title, description = excluded.description, author = excluded.author,
            tags = excluded.tags, folded_tags = excluded.folded_tags, folded = excluded.folded,
            version = excluded.version,
            updated_at = case
                when (composition.title, composition.description, composition.author, composition.tags,
                      composition.version)
                    is distinct from
                     (excluded.title, excluded.description, excluded.author, excluded.tags, excluded.version)
                then clock_timestamp() else composition.updated_at end
        where composition.tenant = excluded.tenant
    returning tenant, updated_at
)
select pg_notify('composer_composition', tenant) from saved where updated_at >= statement_timestamp()
"""
FIND = "select uid from composition where key between $2 and $3 and tenant = $1"
SEARCH = """
select uid, title, description, author, tags, created_at, updated_at from composition
where tenant = $1 and updated_at < coalesce($2, 'infinity'::timestamptz)
  and ($3::text is null or folded_tags @> array[$3::text])
  and not exists (select from unnest($4::text[]) word where strpos(folded, word) = 0)
order by updated_at desc limit $5
"""
#: Whoever holds a composition and does not run any more has let go. Only a job's present attempt gets in.
HOLD = """
insert into composition_change as held (key, job_id)
select $1, id from job where id = $2 and owner = $3 and state = 'running'
on conflict (key) do update set job_id = excluded.job_id, began_at = clock_timestamp()
    where held.job_id = excluded.job_id
       or not exists (select from job where id = held.job_id and state = 'running')
returning true
"""
#: An attempt whose job was taken over leaves the composition to the next attempt. The job is locked, so that
#: nobody takes it over while this is decided.
LET_GO = """
with ours as (select id from job where id = $2 and (owner = $3 or state <> 'running') for share)
delete from composition_change using ours where key = $1 and job_id = ours.id
"""
STATE = "Nothing was changed."
POLL_SECONDS = 0.1


class PostgresCompositions:
    """Reads and writes the table ``composition``.

    Whoever uses :meth:`changes` gives :attr:`ear` to the listener of the process.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._changes = Changes()

    @property
    def ear(self) -> Ear:
        """What the process must listen to."""
        return Ear(CHANNEL, self._changes.tell, self._changes.tell_all)

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
            version,
        )
        await patiently(lambda: self._pool.execute(RECORD, *values), STATE)

    async def owner(self, uid: str) -> str | None:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        found: str | None = await patiently(
            lambda: self._pool.fetchval("select tenant from composition where key = $1", key_of(uid)), STATE
        )
        return found

    @contextlib.asynccontextmanager
    async def exclusively(self, uid: str, job_id: UUID, owner: UUID) -> AsyncIterator[None]:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        key = key_of(uid)
        give_up = asyncio.get_running_loop().time() + BUSY_SECONDS
        while not await patiently(lambda: self._pool.fetchval(HOLD, key, job_id, owner), STATE):
            if asyncio.get_running_loop().time() > give_up:
                raise COMPOSITION_BUSY.error(seconds=round(BUSY_SECONDS))
            await asyncio.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            # Also when the job is cancelled meanwhile; if it fails, the end of the job lets go.
            await asyncio.shield(self._let_go(key, job_id, owner))

    async def _let_go(self, key: bytes, job_id: UUID, owner: UUID) -> None:
        with contextlib.suppress(*database.UNREACHABLE):
            await self._pool.execute(LET_GO, key, job_id, owner)

    async def find(self, tenant: str, short_id: str) -> str | None:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        keys = keys_between(short_id)
        found: str | None = await patiently(lambda: self._pool.fetchval(FIND, tenant, *keys), STATE)
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

    def changes(self, tenant: str) -> AsyncIterator[None]:
        """See :class:`~composer_mcp.store.compositions.CompositionRegistry`."""
        return self._changes.of(tenant)
