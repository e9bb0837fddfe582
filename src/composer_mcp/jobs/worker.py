"""The worker process: one browser pool, a few jobs at a time, taken from the queue until told to stop.

The browser pool stays open while the queue's connection comes and goes: a database that fails over restarts
the queue, not Chromium.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pgqueuer
import structlog

from composer_mcp.audit.opening import audit_trail
from composer_mcp.jobs import upkeep
from composer_mcp.jobs.attempt import Attempts, Handle, Resources
from composer_mcp.jobs.postgres_table import PostgresJobTable
from composer_mcp.jobs.requests import REQUESTS
from composer_mcp.jobs.slots import Slots
from composer_mcp.jobs.thrifty_queue import BY_INDEX, thrifty
from composer_mcp.observability import process
from composer_mcp.observability.systemd import Supervisor
from composer_mcp.runtime.current import Live
from composer_mcp.runtime.following import Follower
from composer_mcp.runtime.postgres_store import PostgresRuntimeStore
from composer_mcp.store import database
from composer_mcp.store.artifacts import ArtifactStore
from composer_mcp.store.job_evidence import PostgresJobEvidence
from composer_mcp.store.listener import Listener
from composer_mcp.store.login_snapshots import PostgresLoginSnapshots
from composer_mcp.store.postgres_compositions import PostgresCompositions

if TYPE_CHECKING:
    from pgqueuer import PgQueuer

    from composer_mcp.settings import Credentials, Settings

log = structlog.get_logger(__name__)


async def serve(settings: Settings, credentials: Credentials) -> None:
    """Run a worker with a real browser until SIGTERM or SIGINT; jobs under way are finished first."""
    process.check_receivers(settings, credentials)
    from composer_mcp.browser.pool import BrowserPool
    from composer_mcp.composer import editor
    from composer_mcp.composer.api import ComposerApi
    from composer_mcp.composer.logins import Logins
    from composer_mcp.jobs import handlers

    browser = settings.browser.model_copy(update={"concurrency": settings.worker.concurrency})
    token = credentials.read("composer-token")
    project_key = credentials.read("composer-project-key")
    options = database.connection_options(
        settings.postgresql, credentials.read("database-password"), application="composer-mcp browser"
    )
    async with (
        BrowserPool(
            browser, editor.hosts(settings.composer), visit=editor.home(settings.composer)
        ) as browsers,
        ComposerApi(settings.composer, token, project_key) as composer,
        database.pool(options, size=2) as pool,
    ):
        resources = Resources(
            composer,
            browsers,
            ArtifactStore.open(settings.object_store, credentials),
            settings.compositions.unowned,
            Logins(PostgresLoginSnapshots(pool), token, project_key, settings.composer),
            PostgresJobEvidence(pool),
        )
        await run(settings, credentials, handlers.run, resources)


async def run(settings: Settings, credentials: Credentials, handle: Handle, resources: Resources) -> None:
    """Take jobs from the queue and do them with ``handle`` until SIGTERM or SIGINT."""
    process.tell_others(settings, credentials, "composer-worker")
    options = database.connection_options(
        settings.postgresql, credentials.read("database-password"), application="composer-mcp worker"
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    supervisor = Supervisor()

    def on_signal() -> None:
        log.info("worker.stopping")
        supervisor.tell("STOPPING=1")
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    concurrency = settings.worker.concurrency
    live = Live(settings)
    follower = Follower(live)
    async with (
        database.pool(options, size=concurrency + 2) as pool,
        database.pool(options, size=concurrency + 2, relaxed=True) as relaxed,
        supervisor.watchdog(),
        audit_trail(pool, settings, credentials) as trail,
        follower.run(PostgresRuntimeStore(pool)),
        Listener(options, [follower.ear]).run(),
    ):
        table = PostgresJobTable(pool, relaxed, settings.queue.input_seconds)
        compositions = PostgresCompositions(pool)
        attempts = Attempts(table, handle, resources, compositions, settings.worker, trail)

        def queue() -> contextlib.AbstractAsyncContextManager[PgQueuer]:
            return _queue(
                settings, live, options, attempts, table, pool, resources.artifacts, supervisor, stop
            )

        log.info("worker.starting", concurrency=concurrency)
        await pgqueuer.run(
            queue,
            batch_size=max(1, concurrency // 4),
            max_concurrent_tasks=concurrency,
            heartbeat_timeout=timedelta(seconds=settings.worker.heartbeat_seconds),
            dequeue_timeout=timedelta(seconds=settings.worker.poll_seconds),
            shutdown_on_listener_failure=True,
            restart_on_failure=True,
            restart_delay=timedelta(seconds=0.5),
            shutdown=stop,
        )
    log.info("worker.stopped")


@contextlib.asynccontextmanager
async def _queue(
    settings: Settings,
    live: Live,
    options: dict[str, Any],
    attempts: Attempts,
    table: PostgresJobTable,
    durable: asyncpg.Pool,
    artifacts: ArtifactStore,
    supervisor: Supervisor,
    stop: asyncio.Event,
) -> AsyncIterator[PgQueuer]:
    """Connect to the queue; entered anew after each failure."""
    # The queue's own bookkeeping need not be on disk at once: a lost claim or heartbeat is repeated.
    options = options | {"server_settings": options["server_settings"] | BY_INDEX}
    pool = await database.pool(options, size=settings.worker.concurrency + 4, relaxed=True)
    try:
        queuer = thrifty(
            pool, table, Slots(settings.worker.concurrency, lambda: live.current().worker.interactive_slots)
        )
        for kind in REQUESTS:
            queuer.entrypoint(kind, accepts_context=True)(attempts.run)
        upkeep.register(queuer, durable, artifacts, settings, live)
        await _reach(pool, stop)
        log.info("worker.ready")
        supervisor.tell("READY=1")
        yield queuer
    finally:
        # A pool whose connections broke cannot be closed politely.
        pool.terminate()


async def _reach(pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Wait for the database, asking ever less often, with one line a try."""
    pause = 0.25
    while True:
        try:
            await pool.fetchval("select 1")
            return
        except database.UNREACHABLE as error:
            if stop.is_set():
                raise
            log.warning("worker.database_away", error=repr(error), next_try_seconds=pause)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
        pause = min(pause * 2, 5.0)
