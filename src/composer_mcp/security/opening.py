"""Opens the accounts for a command, which has no services."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from composer_mcp.security.accounts import AccountStore
    from composer_mcp.settings import Credentials, Settings


@contextlib.asynccontextmanager
async def account_store(settings: Settings, credentials: Credentials) -> AsyncIterator[AccountStore]:
    """Open them where the configuration says, also beside a running server.

    Raises:
        ConfigurationError: a secret is missing, or the state directory cannot be used.
    """
    if settings.alone:
        from composer_mcp.alone.directory import StateDirectory
        from composer_mcp.store.sqlite import Sqlite
        from composer_mcp.store.sqlite_accounts import SqliteAccounts

        state = StateDirectory(settings.state)
        state.prepare()
        async with Sqlite.open(state.database) as file:
            yield SqliteAccounts(file)
        return
    from composer_mcp.store import database
    from composer_mcp.store.postgres_accounts import PostgresAccounts

    options = database.connection_options(
        settings.postgresql, credentials.read("database-password"), application="composer-mcp user"
    )
    async with database.pool(options, size=1) as pool:
        yield PostgresAccounts(pool)
