"""A real trail in a folder, for tests of parts that record into one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from composer_mcp.audit.chain import Keys
from composer_mcp.audit.sqlite import SqliteAudit
from composer_mcp.audit.store import Filter
from composer_mcp.audit.trail import Trail
from composer_mcp.store.sqlite import Sqlite

KEYS = Keys(["a-key-of-the-trail-that-is-long-enough-for-it"])


@contextlib.asynccontextmanager
async def kept_trail(place: Path | Sqlite) -> AsyncIterator[Trail]:
    """Open a trail in a folder, or in a database that is open."""
    async with contextlib.AsyncExitStack() as stack:
        database = place
        if isinstance(place, Path):
            database = await stack.enter_async_context(Sqlite.open(place / "audit.sqlite3"))
        trail = Trail(SqliteAudit(database), KEYS)
        await stack.enter_async_context(trail.run())
        yield trail


async def recorded(place: Path) -> list[dict[str, Any]]:
    """Return what a trail that is closed has recorded, oldest first."""
    async with Sqlite.open(place / "audit.sqlite3") as database:
        rows = await SqliteAudit(database).find(Filter(), 10_000)
        return [json.loads(row.line) for row in reversed(rows)]
