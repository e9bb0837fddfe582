"""Ten times more than the queue holds: what is accepted is done, what is refused is told when to return."""

from __future__ import annotations

import uuid
from collections import Counter

import anyio
import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.overload import LONGEST_SECONDS
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.jobs.requests import GetComposition
from composer_mcp.store.batches import BATCH_LIMIT

from .support.installation import Platform
from .test_jobs import until
from .test_jobs_lifecycle import engine_of, in_thread, no_progress, submit

pytestmark = pytest.mark.anyio

PER_TENANT, TOTAL, TENANTS = 20, 50, 20
WAITING = """
select coalesce(max(waiting), 0), coalesce(sum(waiting), 0)
from (select count(*) as waiting from job where state = 'queued' group by tenant) tenants
"""
FILL = """
insert into job (tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority,
                 correlation_id, deadline)
select 'tenant-' || n % 100, n::text, 'get_composition', '{}', '', 0, n, -n, '', now() + interval '1 hour'
from generate_series(1, 3000) n
"""


@pytest.mark.timeout(460)
async def test_ten_times_the_load_loses_nothing_and_sends_everybody_back_in_time(platform: Platform) -> None:
    platform.configure(
        worker={"concurrency": 8},
        queue={"per_tenant_limit": PER_TENANT, "total_limit": TOTAL, "deadline_seconds": 600},
    )
    for _ in range(2):
        await in_thread(platform.start_tame_worker)
    told: Counter[int] = Counter()
    accepted: dict[str, uuid.UUID] = {}
    ended: Counter[JobState] = Counter()
    most = [0, 0]

    async def call(engine: PostgresJobEngine, number: int) -> None:
        tenant, key = f"tenant-{number % TENANTS}", f"key-{number}"
        while True:
            try:
                submission = await engine.submit(tenant, key, GetComposition(uid="sit-0020"), "correlation")
                break
            except ComposerError as error:
                assert error.code.code == "queue_full", error
                told[error.details["retry_after"]] += 1
                await anyio.sleep(error.details["retry_after"])
        accepted[key] = submission.job_id
        ended[(await engine.wait(submission.job_id, no_progress)).state] += 1

    async def look() -> None:
        while True:
            found = [int(each) for each in (await in_thread(platform.sql, WAITING)).split("|")]
            most[:] = [max(pair) for pair in zip(most, found, strict=True)]
            await anyio.sleep(0.1)

    async with engine_of(platform) as first, engine_of(platform) as second:
        # A bound against a hang: alone it takes half a minute, beside other tests on a small machine several.
        with anyio.fail_after(400):
            async with anyio.create_task_group() as looking:
                looking.start_soon(look)
                async with anyio.create_task_group() as calling:
                    for number in range(10 * TOTAL):
                        calling.start_soon(call, second if number % 2 else first, number)
                looking.cancel_scope.cancel()
    assert len(set(accepted.values())) == 10 * TOTAL and ended == {JobState.SUCCEEDED: 10 * TOTAL}
    assert platform.sql("select count(*), max(epoch) from job where state = 'succeeded'") == "500|1"
    assert platform.sql("select count(*) from pgqueuer") == "0"
    # It was really too much, it never grew beyond its bounds, and not all were sent away for the same time.
    # Beyond the bound of all there is at most what two processes accepted in the same moment.
    assert 0 < most[0] <= PER_TENANT and 0 < most[1] <= TOTAL + BATCH_LIMIT
    assert sum(told.values()) >= 4 * TOTAL
    assert len(told) > 1 and all(1 <= seconds <= LONGEST_SECONDS for seconds in told)


async def test_a_bound_too_high_to_count_up_to_holds_within_moments(platform: Platform) -> None:
    platform.configure(queue={"total_limit": 3000})
    async with engine_of(platform) as engine:
        await submit(engine, "sit-0001")
        platform.sql(FILL)
        await until(platform, "select waiting >= 3000 from queue_size", "t")
        with pytest.raises(ComposerError) as refused:
            await submit(engine, "sit-0001")
        assert refused.value.details["limit"] == 3000 and refused.value.details["waiting"] >= 3000
        platform.sql("delete from job where correlation_id = ''")
        await until(platform, "select waiting < 3000 from queue_size", "t")
        await submit(engine, "sit-0001")
