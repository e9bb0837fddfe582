"""Jobs of all tenants over HTTP: how each went, an end to one, once more what failed."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from composer_mcp.admin.access import Opened, Problem, Sought, requires
from composer_mcp.jobs.admin import LIST_LIMIT, Filter
from composer_mcp.jobs.admin_views import (
    DetailView,
    RepeatedView,
    SummaryView,
    detail_of,
    repeated_of,
    summary_of,
)
from composer_mcp.observability.access import correlation_id
from composer_mcp.security.caller import Caller

router = APIRouter(prefix="/jobs", tags=["jobs"])
Operator = Annotated[Caller, requires("jobs:operate")]
States = Literal["queued", "running", "input_required", "succeeded", "failed", "cancelled", "dead"]
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "there is no such job"}}
NOT_NOW: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "it has not failed, or what repeated it has failed as well"},
    429: {"model": Problem, "description": "the queue is full; come back after Retry-After"},
}


class Jobs(BaseModel):
    """Jobs, newest first; ``next`` is the ``before`` of the next page, null on the last one."""

    jobs: list[SummaryView]
    next: UUID | None = Field(description="give it as `before` for the next page")


@router.get("", response_model=Jobs, responses=UNKNOWN)
async def every(
    services: Opened,
    _who: Operator,
    tenant: Annotated[Sought | None, Query(max_length=200, description="only of this tenant")] = None,
    state: Annotated[
        States | None, Query(description="only in this state; dead: given up, it took its workers down")
    ] = None,
    kind: Annotated[Sought | None, Query(max_length=100, description="only of this kind")] = None,
    before: Annotated[UUID | None, Query(description="only jobs older than this one")] = None,
    limit: Annotated[int, Query(ge=1, le=LIST_LIMIT)] = 50,
) -> dict[str, Any]:
    """List jobs of all tenants, newest first; finished ones as long as they are kept."""
    which = Filter(tenant=tenant, state=state, kind=kind, before=before, limit=limit)
    found = await services.engine.operators.list(which)
    following = found[-1].job_id if len(found) == limit else None
    return {"jobs": [summary_of(job) for job in found], "next": following}


@router.get("/{job_id}", response_model=DetailView, responses=UNKNOWN)
async def one(job_id: UUID, services: Opened, _who: Operator) -> dict[str, Any]:
    """Show how a job went: attempts, workers, end. Neither what its tenant wrote nor what came of it."""
    return detail_of(await services.engine.operators.show(job_id))


@router.post("/{job_id}/cancel", response_model=DetailView, responses=UNKNOWN)
async def cancel(job_id: UUID, services: Opened, _who: Operator) -> dict[str, Any]:
    """Stop a job within a second; what it has saved stays saved. A finished one is returned as it is."""
    return detail_of(await services.engine.operators.cancel(job_id))


@router.post("/{job_id}/repeat", response_model=RepeatedView, responses=UNKNOWN | NOT_NOW)
async def repeat(job_id: UUID, services: Opened, _who: Operator) -> dict[str, Any]:
    """Have a failed job done again under its idempotency key: what was saved before is not saved twice.

    It is a job of its own; the failed one stays as it ended. Repeating it twice makes one job.
    """
    return repeated_of(await services.engine.operators.repeat(job_id, correlation_id.get()))
