"""What a page showed when a job failed, over HTTP; only for operators: it may show other people's work."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from composer_mcp.admin.access import Opened, Problem, requires
from composer_mcp.errors import EVIDENCE_UNKNOWN
from composer_mcp.mcp.services import Services
from composer_mcp.security.caller import Caller
from composer_mcp.store.job_evidence import KeptEvidence

router = APIRouter(prefix="/jobs", tags=["jobs"])
Operator = Annotated[Caller, requires("jobs:operate")]
NONE: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "nothing is kept of this job"}
}


class EvidenceView(BaseModel):
    """What a page showed when its job failed, without the secrets that this server knows."""

    job_id: UUID
    attempt: int = Field(description="which attempt saw it")
    taken_at: datetime
    trouble: str | None = Field(description="why the page was of no more use, if that is known")
    final_url: str
    console_errors: list[str]
    network_errors: list[str]
    picture: bool = Field(description="whether there is a picture, at …/picture")


def view_of(job_id: UUID, kept: KeptEvidence) -> EvidenceView:
    """Return what is told of the evidence, everywhere in the same form."""
    seen = kept.seen
    return EvidenceView(
        job_id=job_id,
        attempt=kept.epoch,
        taken_at=kept.taken_at,
        trouble=seen.get("trouble"),
        final_url=seen.get("final_url", ""),
        console_errors=seen.get("console_errors", []),
        network_errors=seen.get("network_errors", []),
        picture=kept.picture is not None,
    )


@router.get("/{job_id}/evidence", responses=NONE)
async def evidence(job_id: UUID, services: Opened, _who: Operator) -> EvidenceView:
    """Tell what the page showed when this job failed."""
    return view_of(job_id, await _kept(job_id, services))


@router.get("/{job_id}/picture", responses={**NONE, 200: {"content": {"image/jpeg": {}}}})
async def picture(job_id: UUID, services: Opened, _who: Operator) -> Response:
    """Show the window as it was when this job failed."""
    kept = await _kept(job_id, services)
    if kept.picture is None:
        raise EVIDENCE_UNKNOWN.error(job_id=job_id)
    return Response(kept.picture, media_type="image/jpeg")


async def _kept(job_id: UUID, services: Services) -> KeptEvidence:
    kept = await services.evidence.of(job_id)
    if kept is None:
        raise EVIDENCE_UNKNOWN.error(job_id=job_id)
    return kept
