"""Keeps what a page showed when its job failed, and tells the caller what may be told of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.work import InputNeeded, Work

#: A job that failed is not made to wait for its evidence.
KEEP_SECONDS = 3.0

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def evidence_kept(work: Work) -> AsyncIterator[None]:
    """Run a job; if it fails after a page was seen, keep what was seen."""
    try:
        yield
    except InputNeeded:
        raise
    except BaseException as error:
        seen = work.findings.last
        if seen is not None:
            if isinstance(error, ComposerError):
                error.details.setdefault("evidence", seen.for_the_caller())
            await _keep(work)
        raise


async def _keep(work: Work) -> None:
    seen = work.findings.last
    if work.evidence is None or seen is None:
        return
    try:
        async with asyncio.timeout(KEEP_SECONDS):
            await work.evidence.keep(work.job_id, work.attempt, seen.in_full(), seen.picture)
    except (ComposerError, TimeoutError) as error:
        log.warning("job.evidence_not_kept", reason=str(error)[:200] or "it takes too long")
