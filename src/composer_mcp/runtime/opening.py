"""Opens the table of changed settings for a command, which has no services."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from composer_mcp.alone.directory import StateDirectory
from composer_mcp.runtime.postgres_store import PostgresRuntimeStore
from composer_mcp.runtime.sqlite_store import SqliteRuntimeStore
from composer_mcp.store import database
from composer_mcp.store.sqlite import Sqlite

if TYPE_CHECKING:
    from composer_mcp.runtime.store import RuntimeStore
    from composer_mcp.settings import Credentials, Settings


@contextlib.asynccontextmanager
async def runtime_store(settings: Settings, credentials: Credentials) -> AsyncIterator[RuntimeStore]:
    """Open it where the configuration says, also beside a running server.

    Raises:
        ConfigurationError: a secret is missing, or the state directory cannot be used.
    """
    if settings.alone:
        state = StateDirectory(settings.state)
        state.prepare()
        async with Sqlite.open(state.database) as file:
            yield SqliteRuntimeStore(file)
        return
    options = database.connection_options(
        settings.postgresql, credentials.read("database-password"), application="composer-mcp config"
    )
    async with database.pool(options, size=1) as pool:
        yield PostgresRuntimeStore(pool)
