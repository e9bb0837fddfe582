"""A tame worker that says it uses one of two browser contexts as soon as it has done something.

A program, like ``tame_worker``: ``python -m tests.integration.support.gauging_worker``.
"""

from __future__ import annotations

from composer_mcp.jobs.requests import AnyRequest, AnyResult
from composer_mcp.jobs.work import Work

from .tame_worker import handle, main


async def gauging(request: AnyRequest, work: Work) -> AnyResult:
    # Not above: the metrics library asks when it is imported where to count.
    from composer_mcp.observability import metrics

    metrics.BROWSER_CAPACITY.set(2)
    metrics.BROWSER_CONTEXTS.set(1)
    return await handle(request, work)


if __name__ == "__main__":
    main(gauging)
