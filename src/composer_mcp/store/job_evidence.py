"""What a browser showed when a job failed: kept for operators, as long as the job itself."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import asyncpg

from composer_mcp.errors import STORE_UNAVAILABLE, ComposerError
from composer_mcp.store.database import UNREACHABLE
from composer_mcp.store.sqlite import Sqlite

SEEN_LIMIT_BYTES = 128 * 1024
PICTURE_LIMIT_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class KeptEvidence:
    """What is kept of one failed attempt; ``picture`` is a JPEG."""

    epoch: int
    taken_at: datetime
    seen: dict[str, Any]
    picture: bytes | None


class JobEvidence(Protocol):
    """Evidence by job. Every method may raise ``store_unavailable``; what is lost is evidence, not work."""

    async def keep(self, job_id: UUID, epoch: int, seen: dict[str, Any], picture: bytes | None) -> None:
        """Keep what an attempt saw, instead of what an earlier one did; a job that is gone keeps nothing."""

    async def of(self, job_id: UUID) -> KeptEvidence | None:
        """Return what was seen when the job failed, to whoever may see it."""


KEEP = """
insert into job_evidence (job_id, epoch, seen, picture)
select id, $2, $3, $4 from job where id = $1 for key share
on conflict (job_id) do update
    set epoch = excluded.epoch, taken_at = excluded.taken_at, seen = excluded.seen, picture = excluded.picture
    where job_evidence.epoch <= excluded.epoch
"""
OF = "select epoch, taken_at, seen, picture from job_evidence where job_id = $1"
KEEP_IN_SQLITE = """
insert into job_evidence (job_id, epoch, taken_at, seen, picture)
select id, :epoch, :now, :seen, :picture from job where id = :job
on conflict (job_id) do update
    set epoch = excluded.epoch, taken_at = excluded.taken_at, seen = excluded.seen, picture = excluded.picture
    where job_evidence.epoch <= excluded.epoch
"""


class PostgresJobEvidence:
    """On PostgreSQL."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def keep(self, job_id: UUID, epoch: int, seen: dict[str, Any], picture: bytes | None) -> None:
        """See :class:`JobEvidence`."""
        try:
            await self._pool.execute(KEEP, job_id, epoch, _text(seen), _small(picture))
        except UNREACHABLE as error:
            raise _away() from error

    async def of(self, job_id: UUID) -> KeptEvidence | None:
        """See :class:`JobEvidence`."""
        try:
            row = await self._pool.fetchrow(OF, job_id)
        except UNREACHABLE as error:
            raise _away() from error
        if row is None:
            return None
        return KeptEvidence(row["epoch"], row["taken_at"], json.loads(row["seen"]), row["picture"])


class SqliteJobEvidence:
    """On SQLite."""

    def __init__(self, database: Sqlite) -> None:
        self._database = database

    async def keep(self, job_id: UUID, epoch: int, seen: dict[str, Any], picture: bytes | None) -> None:
        """See :class:`JobEvidence`."""
        named = {
            "job": str(job_id),
            "epoch": epoch,
            "now": time.time(),
            "seen": _text(seen),
            "picture": _small(picture),
        }
        await self._database.run(lambda connection: connection.execute(KEEP_IN_SQLITE, named))

    async def of(self, job_id: UUID) -> KeptEvidence | None:
        """See :class:`JobEvidence`."""

        def read(connection: sqlite3.Connection) -> sqlite3.Row | None:
            found: sqlite3.Row | None = connection.execute(OF.replace("$1", "?"), (str(job_id),)).fetchone()
            return found

        row = await self._database.run(read)
        if row is None:
            return None
        taken_at = datetime.fromtimestamp(row["taken_at"], UTC)
        return KeptEvidence(row["epoch"], taken_at, json.loads(row["seen"]), row["picture"])


def _text(seen: dict[str, Any]) -> str:
    # PostgreSQL takes no character zero, and no half characters.
    text = json.dumps(seen).replace("\\u0000", "")
    if len(text) > SEEN_LIMIT_BYTES:
        return json.dumps({"cut": True})
    return text


def _small(picture: bytes | None) -> bytes | None:
    return picture if picture is not None and len(picture) <= PICTURE_LIMIT_BYTES else None


def _away() -> ComposerError:
    return STORE_UNAVAILABLE.error(store="database", state="The job goes on.")
