"""The backend of a server that runs alone: everything in the state directory, everything in this process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from composer_mcp.alone.directory import StateDirectory
from composer_mcp.alone.issuer import LocalIssuer
from composer_mcp.audit import opening
from composer_mcp.audit.sqlite import SqliteAudit
from composer_mcp.audit.trail import Trail
from composer_mcp.backends import Problem
from composer_mcp.browser.pool import BrowserPool
from composer_mcp.composer import editor
from composer_mcp.composer.api import ComposerApi
from composer_mcp.composer.logins import Logins
from composer_mcp.errors import ComposerError
from composer_mcp.jobs import handlers
from composer_mcp.jobs.attempt import Resources
from composer_mcp.jobs.embedded_engine import EmbeddedJobEngine
from composer_mcp.mcp.services import Services
from composer_mcp.observability.metrics import QueueNow
from composer_mcp.runtime.changes import Changes
from composer_mcp.runtime.current import Live
from composer_mcp.runtime.following import Follower
from composer_mcp.runtime.sqlite_store import SqliteRuntimeStore
from composer_mcp.store.artifacts import ArtifactStore
from composer_mcp.store.job_evidence import SqliteJobEvidence
from composer_mcp.store.login_snapshots import SqliteLoginSnapshots
from composer_mcp.store.sqlite import Sqlite
from composer_mcp.store.sqlite_accounts import SqliteAccounts
from composer_mcp.store.sqlite_compositions import SqliteCompositions

if TYPE_CHECKING:
    from composer_mcp.settings import Credentials, Settings

#: How long jobs under way may go on when the process is told to end; the rest is done at its next start.
#: Clients that start the process themselves kill it after a few seconds.
GRACE_SECONDS = 1.0


class Alone:
    """SQLite and a folder; the jobs are done here, in a browser that starts with the first that needs it."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._state = StateDirectory(settings.state)
        self.state_keys = [self._state.state_key()]
        self._audit_keys = opening.keys(settings, credentials)
        self._token = credentials.read("composer-token")
        self._project_key = credentials.read("composer-project-key")
        self._artifacts = ArtifactStore.open(settings.object_store, credentials)
        self._engine: EmbeddedJobEngine | None = None
        #: Set when jobs are accepted but no longer done: this process is to end, and another one goes on.
        self.broken = asyncio.Event()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Services]:
        """See :class:`~composer_mcp.backends.Backend`.

        Raises:
            ConfigurationError: the state directory cannot be used, or another process uses it.
        """
        settings = self._settings
        state = self._state
        with state.lock(), state.scratch() as scratch:
            LocalIssuer(state.issuer)
            browser = settings.browser.model_copy(
                update={
                    "concurrency": settings.worker.concurrency,
                    "temporary_directory": settings.browser.temporary_directory or scratch,
                }
            )
            async with (
                Sqlite.open(state.database) as database_file,
                ComposerApi(settings.composer, self._token, self._project_key) as composer,
                BrowserPool(
                    browser,
                    editor.hosts(settings.composer),
                    visit=editor.home(settings.composer),
                    lazy=True,
                ) as browsers,
            ):
                live = Live(settings)
                engine = EmbeddedJobEngine(database_file, settings, self.broken, live)
                compositions = SqliteCompositions(database_file)
                snapshots = SqliteLoginSnapshots(database_file)
                evidence = SqliteJobEvidence(database_file)
                resources = Resources(
                    composer,
                    browsers,
                    self._artifacts,
                    settings.compositions.unowned,
                    Logins(snapshots, self._token, self._project_key, settings.composer),
                    evidence,
                )
                accounts = SqliteAccounts(database_file)
                trail = Trail(SqliteAudit(database_file), self._audit_keys)
                changed = SqliteRuntimeStore(database_file)
                runtime = Changes(changed, settings)
                async with (
                    trail.run(),
                    Follower(live).run(changed),
                    engine.run(handlers.run, resources, compositions, trail, grace_seconds=GRACE_SECONDS),
                ):
                    self._engine = engine
                    yield Services(engine, self._artifacts, compositions, accounts, trail, runtime, evidence)

    async def problem(self) -> Problem | None:
        """See :class:`~composer_mcp.backends.Backend`."""
        reason = "starting" if self._engine is None else await self._engine.problem()
        return None if reason is None else Problem(reason)

    async def queue(self) -> QueueNow | None:
        """See :class:`~composer_mcp.backends.Backend`."""
        if self._engine is None:
            return None
        with contextlib.suppress(ComposerError):
            began = time.monotonic()
            jobs, oldest = await self._engine.queue()
            return QueueNow(jobs, oldest, time.monotonic() - began)
        return None
