"""A new schema arrives while the previous release is at work: nothing is lost, nothing that it does fails."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries

from composer_mcp.jobs.engine import JobState
from composer_mcp.settings import ConfigurationError
from composer_mcp.store import migrate, migrate_postgres

from .support.installation import Platform
from .test_jobs_in_trouble import pool_of
from .test_jobs_lifecycle import engine_of, in_thread, no_progress, submit

pytestmark = pytest.mark.anyio

# What the first release says to the database, word for word.
SUBMIT = "select * from job_submit($1, $2, $3, $4, $5, $6::smallint, $7, $8, $9, $10, $11)"
START = """
update job set state = 'running', epoch = epoch + 1, attempts = attempts + 1, started_at = clock_timestamp(),
               first_started_at = coalesce(first_started_at, clock_timestamp())
where id = $1 and generation = $2 and state in ('queued', 'running')
returning tenant, idempotency_key, kind, arguments, epoch, attempts, correlation_id, created_at, deadline,
          first_started_at, started_at
"""
OWNED = "select true from job where id = $1 and epoch = $2 and state = 'running'"
FINISH = """
with done as (
    update job set state = $3, result = $4, error = $5, finished_at = clock_timestamp()
    where id = $1 and epoch = $2 and state = 'running' returning id
) select pg_notify('composer_job', id::text) from done
"""
RESULT = {"uid": "sit-0001", "url": "u", "title": "t", "version": "1", "document": {}}


class FirstRelease:
    """A web process and a worker of the first release, as far as the database sees them."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def submit(self, key: str) -> UUID:
        arguments = json.dumps({"kind": "get_composition", "uid": "sit-0001"})
        async with self._connection.transaction():
            row = await self._connection.fetchrow(
                SUBMIT, "school", key, "get_composition", arguments, "hash", 1, 10,
                timedelta(minutes=5), 100, 1000, "correlation",
            )  # fmt: skip
            if row["outcome"] in {"created", "requeued"}:
                entry = f"{row['job_id']}:{row['job_generation']}"
                await Queries(AsyncpgDriver(self._connection)).enqueue(
                    row["job_kind"], entry.encode(), row["job_priority"], dedupe_key=entry, on_conflict="skip"
                )
        job_id: UUID = row["job_id"]
        return job_id

    async def start(self, job_id: UUID) -> Any:
        return await self._connection.fetchrow(START, job_id, 1)

    async def owns(self, job_id: UUID, epoch: int) -> bool:
        return bool(await self._connection.fetchval(OWNED, job_id, epoch))

    async def finish(self, job_id: UUID, epoch: int) -> bool:
        values = (job_id, epoch, "succeeded", json.dumps(RESULT), None)
        return await self._connection.fetchrow(FINISH, *values) is not None


@asynccontextmanager
async def first_release(platform: Platform) -> AsyncIterator[FirstRelease]:
    async with pool_of(platform) as pool, pool.acquire() as connection:
        yield FirstRelease(connection)


@pytest.fixture
async def first_schema(platform: Platform) -> Platform:
    """A platform whose database is as the first release had left it."""
    platform.postgres.drop_database(platform.database)
    platform.postgres.create_database(platform.database)
    with only_the_first():
        await run_migration(platform)
    return platform


@contextmanager
def only_the_first() -> Iterator[None]:
    """Know no migration but the first."""
    every = migrate.known()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "known", lambda: every[:1])
        yield


async def run_migration(platform: Platform) -> migrate.Outcome:
    password = platform.secrets.read("database-owner-password")
    return await migrate_postgres.migrate_to(platform.settings.postgresql, password)


async def test_work_goes_on_in_both_releases_while_the_schema_changes(first_schema: Platform) -> None:
    platform = first_schema
    async with first_release(platform) as old:
        queued, running, ended = [await old.submit(f"key-{number:04d}") for number in range(3)]
        epoch = (await old.start(running))["epoch"]
        assert await old.finish(ended, (await old.start(ended))["epoch"])
        platform.sql(f"delete from pgqueuer where dedupe_key = '{ended}:1'")

    outcome = await run_migration(platform)
    assert outcome.version == migrate.known()[-1].version > 1
    assert (await run_migration(platform)).steps == []

    async with first_release(platform) as old, engine_of(platform) as engine:
        # The old worker ends what it had begun, and the new web process hears of it.
        assert await old.owns(running, epoch) and await old.finish(running, epoch)
        assert (await engine.wait(running, no_progress)).state is JobState.SUCCEEDED
        assert (await engine.get("school", ended)).result == RESULT
        # Neither release queues a job twice, nor does the old one begin what the new one has cancelled.
        late = await old.submit("key-late")
        assert platform.sql(f"select count(*) from pgqueuer where dedupe_key = '{late}:1'") == "1"
        await engine.cancel("school", late)
        assert await old.start(late) is None
        # What was queued before the change is done after it, by a worker of the new release.
        worker = await in_thread(platform.start_tame_worker)
        assert (await engine.wait(queued, no_progress)).state is JobState.SUCCEEDED
        # A job that an old worker took over from a new one is the old one's alone.
        taken = await submit(engine, platform.hold("taken"))
        await in_thread(worker.wait_for, "hold-taken")
        epoch = (await old.start(taken))["epoch"]
        assert await old.finish(taken, epoch)
        platform.release("taken")
        record = await engine.wait(taken, no_progress)
        assert record.result == RESULT
        await in_thread(worker.wait_for, '"outcome": "lost"')
        assert await engine.get("school", taken) == record


async def test_a_release_that_is_too_old_for_the_schema_says_so(platform: Platform) -> None:
    with only_the_first(), pytest.raises(ConfigurationError, match="newer than this release"):
        await run_migration(platform)
