"""Opens the jobs of all tenants for a command, which has no services."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from composer_mcp.errors.kinds import ComposerError
from composer_mcp.jobs.postgres_admin import PostgresJobAdmin
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.jobs.sqlite_admin import SqliteJobAdmin
from composer_mcp.runtime.current import Live
from composer_mcp.runtime.postgres_store import PostgresRuntimeStore
from composer_mcp.runtime.sqlite_store import SqliteRuntimeStore
from composer_mcp.store import opening
from composer_mcp.store.job_evidence import JobEvidence, PostgresJobEvidence, SqliteJobEvidence
from composer_mcp.store.sqlite import Sqlite

if TYPE_CHECKING:
    from composer_mcp.jobs.admin import JobAdmin
    from composer_mcp.runtime.store import RuntimeStore
    from composer_mcp.settings import Credentials, Settings


@contextlib.asynccontextmanager
async def job_admin(settings: Settings, credentials: Credentials) -> AsyncIterator[JobAdmin]:
    """Open them where the configuration says; see :func:`composer_mcp.store.opening.opened`."""
    async with opening.opened(settings, credentials, "jobs", size=2) as place:
        if isinstance(place, Sqlite):
            live = await _now(settings, SqliteRuntimeStore(place))
            yield SqliteJobAdmin(place, live.current().queue)
        else:
            live = await _now(settings, PostgresRuntimeStore(place))
            yield PostgresJobAdmin(PostgresJobEngine(place, live, settings.web.wait_seconds))


async def _now(settings: Settings, store: RuntimeStore) -> Live:
    """Return the bounds that hold now; those of the configuration if the store is away."""
    live = Live(settings)
    with contextlib.suppress(ComposerError):
        live.apply(await store.read())
    return live


@contextlib.asynccontextmanager
async def job_evidence(settings: Settings, credentials: Credentials) -> AsyncIterator[JobEvidence]:
    """Open what pages showed when jobs failed; see :func:`composer_mcp.store.opening.opened`."""
    async with opening.opened(settings, credentials, "jobs") as place:
        yield SqliteJobEvidence(place) if isinstance(place, Sqlite) else PostgresJobEvidence(place)
