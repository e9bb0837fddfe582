"""What stands behind the tools: a platform shared with others, or this process alone.

The only place that chooses between the two; whoever is given a backend knows no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import asyncpg

from composer_mcp.audit import opening
from composer_mcp.audit.postgres import PostgresAudit
from composer_mcp.audit.trail import Trail
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.mcp.services import Services
from composer_mcp.observability.metrics import QueueNow
from composer_mcp.runtime.changes import Changes
from composer_mcp.runtime.current import Live
from composer_mcp.runtime.following import Follower
from composer_mcp.runtime.postgres_store import PostgresRuntimeStore
from composer_mcp.store import database, migrate
from composer_mcp.store.artifacts import ArtifactStore
from composer_mcp.store.job_evidence import PostgresJobEvidence
from composer_mcp.store.patience import PATIENCE_SECONDS
from composer_mcp.store.postgres_accounts import Bell, PostgresAccounts

if TYPE_CHECKING:
    from composer_mcp.settings import Credentials, Settings

ANSWER_SECONDS = 2.0
QUEUE = """
select state, count(*) as jobs,
       extract(epoch from clock_timestamp() - min(updated_at) filter (where state = 'queued')) as oldest
from job where state in ('queued', 'running', 'input_required') group by state
"""


class Problem(NamedTuple):
    """Why calls cannot be served now; ``passing`` if they wait for its end, and it may well end in time."""

    reason: str
    passing: bool = False


class Backend(Protocol):
    """Opens what the tools work with, and says how it is.

    ``state_keys`` seal what clients carry between the rounds of one call: the first seals, all open.
    """

    state_keys: list[str]

    def open(self) -> contextlib.AbstractAsyncContextManager[Services]:
        """Open everything, for as long as the context lasts."""

    async def problem(self) -> Problem | None:
        """Return why calls cannot be served now; ``None`` if they can."""

    async def queue(self) -> QueueNow | None:
        """Return what waits and what runs; ``None`` if it cannot be known now."""


def choose(settings: Settings, credentials: Credentials) -> Backend:
    """Return the backend that the configuration describes; nothing is opened yet.

    Raises:
        ConfigurationError: a secret or a certificate authority is missing.
    """
    if not settings.alone:
        return Shared(settings, credentials)
    # Here and not above: the processes of a platform do without the browser's library.
    from composer_mcp.alone.backend import Alone

    return Alone(settings, credentials)


class Shared:
    """PostgreSQL and an object store; workers do the jobs, on this host and on others."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._options = database.connection_options(
            settings.postgresql, credentials.read("database-password"), application="composer-mcp web"
        )
        self._artifacts = ArtifactStore.open(settings.object_store, credentials)
        # Several while an old one is being replaced: what it sealed is still on its way.
        self.state_keys = credentials.read("state-key").get_secret_value().split()
        self._audit_keys = opening.keys(settings, credentials)
        self._pool: asyncpg.Pool | None = None
        self._answered = -math.inf

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Services]:
        """See :class:`Backend`."""
        bell = Bell()
        live = Live(self._settings)
        follower = Follower(live)
        ears = [bell.ear, follower.ear]
        async with PostgresJobEngine.open(self._settings, self._options, ears, live) as engine:
            self._pool = engine.pool
            accounts = PostgresAccounts(engine.pool, bell)
            trail = Trail(PostgresAudit(engine.pool), self._audit_keys)
            changed = PostgresRuntimeStore(engine.pool)
            runtime = Changes(changed, self._settings)
            async with trail.run(), follower.run(changed):
                evidence = PostgresJobEvidence(engine.pool)
                yield Services(
                    engine, self._artifacts, engine.compositions, accounts, trail, runtime, evidence
                )

    async def problem(self) -> Problem | None:
        """See :class:`Backend`."""
        if self._pool is None:
            return Problem("starting")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                lacking = await migrate.lacking(self._pool)
        except (*database.UNREACHABLE, asyncpg.PostgresError) as error:
            # All hosts have the same database: whoever is sent elsewhere, or away, is served no sooner.
            passing = time.monotonic() < self._answered + PATIENCE_SECONDS
            return Problem(f"database: {type(error).__name__}: {error}", passing)
        self._answered = time.monotonic()
        return None if lacking is None else Problem(f"database: {lacking}; run composer-mcp migrate")

    async def queue(self) -> QueueNow | None:
        """See :class:`Backend`."""
        if self._pool is None:
            return None
        with contextlib.suppress(*database.UNREACHABLE, asyncpg.PostgresError):
            async with asyncio.timeout(ANSWER_SECONDS):
                began = time.monotonic()
                await self._pool.fetchval("select 1")
                seconds = time.monotonic() - began
                rows = await self._pool.fetch(QUEUE)
            jobs = dict.fromkeys(("queued", "running", "input_required"), 0)
            jobs |= {row["state"]: row["jobs"] for row in rows}
            oldest = next((float(row["oldest"]) for row in rows if row["oldest"] is not None), 0.0)
            return QueueNow(jobs, max(0.0, oldest), seconds)
        return None
