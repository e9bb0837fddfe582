"""Jobs as operators see them in JSON: the same from the command line and from the admin API."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, Field

from composer_mcp.jobs.engine import JobState

if TYPE_CHECKING:
    from composer_mcp.jobs.admin import JobDetail, JobSummary, Repeated
    from composer_mcp.store.job_evidence import KeptEvidence


class SummaryView(BaseModel):
    """One job of a list."""

    job_id: UUID
    tenant: str
    kind: str
    state: JobState
    dead: bool = Field(description="failed because it took its workers down, and was given up")
    short: bool = Field(description="may use the slots that workers keep for short jobs")
    created_at: datetime
    started_at: datetime | None = Field(description="when its newest attempt began")
    finished_at: datetime | None
    attempts: int = Field(description="how often it was begun, earlier jobs of the same call included")
    error_code: str | None
    worker: str | None = Field(description="host and process of its newest attempt")


class AttemptView(BaseModel):
    """One try at a job."""

    number: int
    worker: str = Field(description="host and process")
    started_at: datetime
    finished_at: datetime | None
    outcome: str = Field(
        description="running, succeeded, cancelled, input_required, the code of an error, or lost: its "
        "worker died or let go of it, and another attempt followed or follows"
    )


class EvidenceView(BaseModel):
    """What the page of a failed attempt showed."""

    attempt: int
    taken_at: datetime
    seen: dict[str, Any] = Field(description="address, messages of the console, failed requests, texts")
    picture: bool = Field(description="whether there is a picture too")


class DetailView(SummaryView):
    """How a job went; neither what its tenant wrote nor what came of it."""

    idempotency_key: str
    correlation_id: str = Field(description="by which its lines are found in all logs")
    progress: float = Field(description="0 to 1")
    progress_message: str
    deadline: datetime = Field(description="until when it must have been started")
    first_started_at: datetime | None
    history: list[AttemptView] = Field(description="the newest attempts, oldest first")
    asks: list[str] = Field(description="keys of what it asks a person")
    error: dict[str, Any] | None
    repeated_as: UUID | None = Field(description="the job that has taken its place")
    evidence: EvidenceView | None = Field(description="what its page showed when it failed")


class RepeatedView(BaseModel):
    """The job that does it again."""

    job_id: UUID
    tenant: str
    created: bool = Field(description="false when an earlier call had made it")


def summary_of(job: JobSummary) -> dict[str, Any]:
    """Return one line of a list."""
    return SummaryView.model_validate(job, from_attributes=True).model_dump(mode="json")


def detail_of(job: JobDetail) -> dict[str, Any]:
    """Return everything about one job."""
    attempts = [AttemptView.model_validate(attempt, from_attributes=True) for attempt in job.attempts]
    view = DetailView(
        **summary_of(job.summary),
        idempotency_key=job.idempotency_key,
        correlation_id=job.correlation_id,
        progress=job.progress,
        progress_message=job.progress_message,
        deadline=job.deadline,
        first_started_at=job.first_started_at,
        history=attempts,
        asks=list(job.asks),
        error=None if job.error is None else dict(job.error),
        repeated_as=job.repeated_as,
        evidence=_evidence(job.evidence),
    )
    return view.model_dump(mode="json")


def _evidence(kept: KeptEvidence | None) -> EvidenceView | None:
    if kept is None:
        return None
    return EvidenceView(
        attempt=kept.epoch, taken_at=kept.taken_at, seen=kept.seen, picture=kept.picture is not None
    )


def repeated_of(done: Repeated) -> dict[str, Any]:
    """Return which job does it again."""
    return RepeatedView.model_validate(done, from_attributes=True).model_dump(mode="json")
