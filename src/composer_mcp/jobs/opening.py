"""Opens the jobs of all tenants for a command, which has no services."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from composer_mcp.alone.directory import StateDirectory
from composer_mcp.errors.kinds import ComposerError
from composer_mcp.jobs.postgres_admin import PostgresJobAdmin
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.jobs.sqlite_admin import SqliteJobAdmin
from composer_mcp.runtime.current import Live
from composer_mcp.runtime.postgres_store import PostgresRuntimeStore
from composer_mcp.runtime.sqlite_store import SqliteRuntimeStore
from composer_mcp.store import database
from composer_mcp.store.job_evidence import JobEvidence, PostgresJobEvidence, SqliteJobEvidence
from composer_mcp.store.sqlite import Sqlite

if TYPE_CHECKING:
    from composer_mcp.jobs.admin import JobAdmin
    from composer_mcp.runtime.store import RuntimeStore
    from composer_mcp.settings import Credentials, Settings


@contextlib.asynccontextmanager
async def job_admin(settings: Settings, credentials: Credentials) -> AsyncIterator[JobAdmin]:
    """Open them where the configuration says, also beside a running server.

    Raises:
        ConfigurationError: a secret is missing, or the state directory cannot be used.
    """
    if settings.alone:
        state = StateDirectory(settings.state)
        state.prepare()
        async with Sqlite.open(state.database) as file:
            live = await _now(settings, SqliteRuntimeStore(file))
            yield SqliteJobAdmin(file, live.current().queue)
        return
    options = database.connection_options(
        settings.postgresql, credentials.read("database-password"), application="composer-mcp jobs"
    )
    async with database.pool(options, size=2) as pool:
        live = await _now(settings, PostgresRuntimeStore(pool))
        yield PostgresJobAdmin(PostgresJobEngine(pool, live, settings.web.wait_seconds))


async def _now(settings: Settings, store: RuntimeStore) -> Live:
    """Return the bounds that hold now; those of the configuration if the store is away."""
    live = Live(settings)
    with contextlib.suppress(ComposerError):
        live.apply(await store.read())
    return live


@contextlib.asynccontextmanager
async def job_evidence(settings: Settings, credentials: Credentials) -> AsyncIterator[JobEvidence]:
    """Open what pages showed when jobs failed, where the configuration says.

    Raises:
        ConfigurationError: a secret is missing, or the state directory cannot be used.
    """
    if settings.alone:
        state = StateDirectory(settings.state)
        state.prepare()
        async with Sqlite.open(state.database) as file:
            yield SqliteJobEvidence(file)
        return
    options = database.connection_options(
        settings.postgresql, credentials.read("database-password"), application="composer-mcp jobs"
    )
    async with database.pool(options, size=1) as pool:
        yield PostgresJobEvidence(pool)
