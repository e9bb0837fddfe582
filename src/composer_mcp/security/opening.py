"""Opens the accounts for a command, which has no services."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from composer_mcp.store import opening
from composer_mcp.store.postgres_accounts import PostgresAccounts
from composer_mcp.store.sqlite import Sqlite
from composer_mcp.store.sqlite_accounts import SqliteAccounts

if TYPE_CHECKING:
    from composer_mcp.security.accounts import AccountStore
    from composer_mcp.settings import Credentials, Settings


@contextlib.asynccontextmanager
async def account_store(settings: Settings, credentials: Credentials) -> AsyncIterator[AccountStore]:
    """Open them where the configuration says; see :func:`composer_mcp.store.opening.opened`."""
    async with opening.opened(settings, credentials, "user") as place:
        yield SqliteAccounts(place) if isinstance(place, Sqlite) else PostgresAccounts(place)
