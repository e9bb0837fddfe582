"""Short jobs have room of their own: nobody who looks on waits behind what others have made in bulk."""

from __future__ import annotations

import uuid

import anyio
import pytest

from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.jobs.requests import CreateComposition

from .support.installation import Platform
from .test_jobs import until
from .test_jobs_lifecycle import engine_of, in_thread, no_progress, submit

pytestmark = pytest.mark.anyio
RUNNING = "select count(*) from job where state = 'running'"


async def submit_long(engine: PostgresJobEngine, title: str, tenant: str = "school") -> uuid.UUID:
    lesson = {"title": title, "elements": [{"type": "text", "text": "A cell."}]}
    request = CreateComposition.model_validate({"lesson": lesson})
    return (await engine.submit(tenant, uuid.uuid4().hex, request, "correlation")).job_id


async def test_a_short_job_starts_while_long_jobs_hold_every_other_slot(platform: Platform) -> None:
    platform.configure(worker={"concurrency": 4})
    await in_thread(platform.start_tame_worker)
    title = platform.hold("long")
    async with engine_of(platform) as engine:
        waiting = [await submit_long(engine, title) for _ in range(6)]
        await until(platform, RUNNING, "3")
        # Not of the tenant that fills the queue, and of that tenant as well.
        for tenant in ("other", "school"):
            with anyio.fail_after(10):
                job_id = await submit(engine, "sit-0001", tenant=tenant)
                assert (await engine.wait(job_id, no_progress)).state is JobState.SUCCEEDED
        # The slot that is free again stays free of long jobs.
        assert platform.sql(RUNNING) == "3"
        platform.release("long", jobs=6)
        for job_id in waiting:
            assert (await engine.wait(job_id, no_progress)).state is JobState.SUCCEEDED


async def test_a_worker_keeps_as_many_slots_as_it_is_told(platform: Platform) -> None:
    platform.configure(worker={"concurrency": 4, "interactive_slots": 3})
    await in_thread(platform.start_tame_worker)
    long, short = platform.hold("long"), platform.hold("short")
    async with engine_of(platform) as engine:
        jobs = [await submit_long(engine, long) for _ in range(2)]
        await until(platform, RUNNING, "1")
        jobs += [await submit(engine, short) for _ in range(3)]
        await until(platform, RUNNING, "4")
        platform.release("long", jobs=2)
        platform.release("short", jobs=3)
        for job_id in jobs:
            assert (await engine.wait(job_id, no_progress)).state is JobState.SUCCEEDED


async def test_short_jobs_in_bulk_leave_long_ones_their_share(platform: Platform) -> None:
    """Both classes share the slots that are not kept, so neither starves the other."""
    platform.configure(worker={"concurrency": 2}, queue={"per_tenant_limit": 1000})
    async with engine_of(platform) as engine:
        for _ in range(40):
            await submit(engine, "sit-0050")
        long = await submit_long(engine, "sit-0001", tenant="other")
        await in_thread(platform.start_tame_worker)
        with anyio.fail_after(20):
            assert (await engine.wait(long, no_progress)).state is JobState.SUCCEEDED
        assert int(platform.sql("select count(*) from job where state = 'queued'")) > 20
        platform.sql("delete from pgqueuer where status = 'queued'")


async def test_tenants_take_turns_within_each_class(platform: Platform) -> None:
    platform.configure(worker={"concurrency": 2})
    async with engine_of(platform) as engine:
        for _ in range(10):
            await submit(engine, "sit-0001")
            await submit_long(engine, "sit-0001")
        last = [await submit(engine, "sit-0001", tenant="other")]
        last.append(await submit_long(engine, "sit-0001", tenant="other"))
        await in_thread(platform.start_tame_worker)
        for job_id in last:
            await engine.wait(job_id, no_progress)
        await until(platform, "select count(*) from job where state <> 'succeeded'", "0")
    ranks = platform.sql(
        "select rank from (select tenant, rank() over (partition by class order by started_at) from job) r "
        "where tenant = 'other'"
    ).split()
    assert all(int(rank) <= 3 for rank in ranks), ranks
