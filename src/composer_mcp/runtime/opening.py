"""Opens the table of changed settings for a command, which has no services."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from composer_mcp.runtime.postgres_store import PostgresRuntimeStore
from composer_mcp.runtime.sqlite_store import SqliteRuntimeStore
from composer_mcp.store import opening
from composer_mcp.store.sqlite import Sqlite

if TYPE_CHECKING:
    from composer_mcp.runtime.store import RuntimeStore
    from composer_mcp.settings import Credentials, Settings


@contextlib.asynccontextmanager
async def runtime_store(settings: Settings, credentials: Credentials) -> AsyncIterator[RuntimeStore]:
    """Open it where the configuration says; see :func:`composer_mcp.store.opening.opened`."""
    async with opening.opened(settings, credentials, "config") as place:
        yield SqliteRuntimeStore(place) if isinstance(place, Sqlite) else PostgresRuntimeStore(place)
