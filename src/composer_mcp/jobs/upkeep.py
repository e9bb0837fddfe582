"""What keeps the tables small and the queue true; PgQueuer's schedule runs each on one worker at a time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import structlog

from composer_mcp.errors import ComposerError
from composer_mcp.jobs import rules
from composer_mcp.jobs.postgres_engine import ENQUEUE

if TYPE_CHECKING:
    from pgqueuer import PgQueuer
    from pgqueuer.models import Schedule

    from composer_mcp.runtime.current import Live
    from composer_mcp.settings import QueueSettings, Settings
    from composer_mcp.store.artifacts import ArtifactStore

QUEUE_LOG_DAYS = 7
BATCH = 1000

log = structlog.get_logger(__name__)

#: Jobs that nobody will run: their queue entry is gone, though they are not finished. It happens when the
#: database went away at the very moment in which a worker gave the entry back. A running job without an
#: entry is left alone until no attempt can be alive.
STRANDED = """
update job set generation = generation + 1, state = 'queued', owner = null, updated_at = clock_timestamp()
where id in (
    select id from job
    where (state = 'queued' or (state = 'running' and started_at < clock_timestamp() - $1::interval))
      and not exists (select from pgqueuer where dedupe_key = job.id || ':' || job.generation)
    for update skip locked
) returning id, kind, generation, priority
"""

OVERDUE = "select id from job where state = 'input_required' and input_deadline < clock_timestamp() limit $1"
#: An answer that came meanwhile wins.
GIVE_UP = """
with given_up as (
    update job set state = 'failed', error = $2, owner = null, input_requests = null,
                   finished_at = clock_timestamp(), updated_at = clock_timestamp()
    where id = $1 and state = 'input_required' and input_deadline < clock_timestamp() returning id
) select pg_notify('composer_job', id::text) from given_up
"""


async def mend(pool: asyncpg.Pool, attempt_limit: timedelta) -> int:
    """Queue stranded jobs again; return how many there were."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(STRANDED, attempt_limit)
        for row in rows:
            await connection.execute(ENQUEUE, row["id"], row["generation"], row["kind"], row["priority"])
    if rows:
        log.warning("upkeep.stranded_jobs", jobs=[str(row["id"]) for row in rows])
    return len(rows)


async def give_up_asking(pool: asyncpg.Pool, queue: QueueSettings) -> int:
    """Fail the jobs whose questions nobody answered in time; return how many there were."""
    overdue = await pool.fetch(OVERDUE, BATCH)
    for row in overdue:
        error = rules.unanswered(row["id"], queue)
        await pool.execute(GIVE_UP, row["id"], json.dumps(error.as_dict()))
    if overdue:
        log.info("upkeep.unanswered_jobs", jobs=[str(row["id"]) for row in overdue])
    return len(overdue)


async def forget(pool: asyncpg.Pool, retention: timedelta) -> int:
    """Delete what is old, in small portions; return the number of jobs deleted."""
    deleted: int = 0
    while True:
        count = await pool.fetchval(
            "with gone as (delete from job where id in (select id from job where finished_at < "
            "clock_timestamp() - $1::interval limit $2) returning 1), counted as (select count(*) from gone) "
            "select count from counted left join lateral pg_notify('composer_forgotten', '') on count > 0",
            retention,
            BATCH,
        )
        deleted += count
        if count < BATCH:
            break
    old = timedelta(days=QUEUE_LOG_DAYS)
    await pool.execute("delete from pgqueuer_log where created < now() - $1::interval", old)
    await pool.execute("delete from pgqueuer_statistics where created < now() - $1::interval", old)
    # Tags only grow; while nothing waits they can start again, long before they leave their range.
    await pool.execute(
        "delete from tenant_tag where (select max(tag) from tenant_tag) > 500000000 "
        "and not exists (select from job where state = 'queued')"
    )
    return deleted


def register(
    queuer: PgQueuer, pool: asyncpg.Pool, artifacts: ArtifactStore, settings: Settings, live: Live
) -> None:
    """Add all of it to the schedule of a worker."""

    @queuer.schedule("composer_mend", "* * * * *")
    async def _mend(schedule: Schedule) -> None:
        await mend(pool, timedelta(seconds=settings.worker.job_timeout_seconds + 60))
        await give_up_asking(pool, live.current().queue)

    @queuer.schedule("composer_forget", "*/5 * * * *")
    async def _forget(schedule: Schedule) -> None:
        await forget(pool, timedelta(days=live.current().queue.retention_days))

    @queuer.schedule("composer_forget_artifacts", "23 * * * *")
    async def _forget_artifacts(schedule: Schedule) -> None:
        try:
            await artifacts.forget(timedelta(days=live.current().queue.retention_days))
        except ComposerError as error:
            # In an hour again.
            log.warning("upkeep.artifacts_not_forgotten", error=error.sentence)
