"""Waiting for jobs and following them, on the hub of this process; shared by all engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from uuid import UUID

from composer_mcp.errors import JOB_PENDING, JOB_UNKNOWN
from composer_mcp.jobs.engine import JobRecord, JobState, OnProgress
from composer_mcp.jobs.hub import WaiterHub

#: Most jobs that one caller may follow at a time.
WATCH_LIMIT = 1000


async def wait_for(
    hub: WaiterHub, job_id: UUID, on_progress: OnProgress, *, seconds: float, days: float
) -> JobRecord:
    """Return the job once it is finished or needs input.

    Raises:
        job_pending: neither was so within ``seconds``.
        job_unknown: there is no such job.
    """
    try:
        async with asyncio.timeout(seconds):
            with hub.watch([job_id]) as watch:
                async for record in watch.news():
                    if record.state.finished or record.state is JobState.INPUT_REQUIRED:
                        return record
                    if record.state is JobState.RUNNING:
                        await on_progress(record.progress, record.progress_message)
    except TimeoutError as error:
        raise JOB_PENDING.error(job_id=str(job_id), seconds=round(seconds)) from error
    raise JOB_UNKNOWN.error(job_id=str(job_id), days=days)


async def follow(hub: WaiterHub, tenant: str, job_ids: Collection[UUID]) -> AsyncIterator[JobRecord]:
    """Yield each job of the tenant as it is now, then after every change; end when all are finished.

    Raises:
        ValueError: more than ``WATCH_LIMIT`` jobs.
    """
    wanted = set(job_ids)
    if len(wanted) > WATCH_LIMIT:
        raise ValueError(f"at most {WATCH_LIMIT} jobs can be followed at once, not {len(wanted)}")
    with hub.watch(wanted) as watch:
        async for record in watch.news():
            if record.tenant == tenant:
                yield record
            else:
                watch.drop(record.id)
