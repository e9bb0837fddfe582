"""A real worker for the fixtures: ``python -m tests.conformance.worker CONFIG CREDENTIALS``.

It does the jobs of the fixtures' tools, and for the product's kinds of jobs what the tame worker does.
"""

from __future__ import annotations

from composer_mcp.jobs.requests import AnyRequest, AnyResult
from composer_mcp.jobs.work import Work
from tests.integration.support import tame_worker

from .fixtures import task_jobs


async def handle(request: AnyRequest, work: Work) -> AnyResult:
    """Do one job."""
    return await task_jobs.handle(request, work) or await tame_worker.handle(request, work)


if __name__ == "__main__":
    tame_worker.main(handle)
