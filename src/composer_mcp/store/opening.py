"""Opens the store that the configuration names, for a command, which has no services."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from composer_mcp.alone.directory import StateDirectory
from composer_mcp.store import database
from composer_mcp.store.sqlite import Sqlite

if TYPE_CHECKING:
    import asyncpg

    from composer_mcp.settings import Credentials, Settings


@contextlib.asynccontextmanager
async def opened(
    settings: Settings,
    credentials: Credentials,
    command: str,
    *,
    size: int = 1,
    owner: bool = False,
    statement_seconds: float | None = None,
) -> AsyncIterator[Sqlite | asyncpg.Pool]:
    """Open the file of a server that runs alone, also beside it while it runs, or connections to PostgreSQL.

    Of PostgreSQL: ``size`` connections, which say that they are of ``command``; with ``owner`` the rights of
    the schema's owner; ``statement_seconds`` instead of the configured limit of one statement.

    Raises:
        ConfigurationError: a secret is missing, or the state directory cannot be used.
    """
    if settings.alone:
        state = StateDirectory(settings.state)
        state.prepare()
        async with Sqlite.open(state.database) as file:
            yield file
        return
    place = settings.postgresql
    options = database.connection_options(
        place,
        credentials.read("database-owner-password" if owner else "database-password"),
        application=f"composer-mcp {command}",
        user=place.owner if owner else None,
    )
    if statement_seconds is not None:
        options["command_timeout"] = statement_seconds
    async with database.pool(options, size=size) as pool:
        yield pool
