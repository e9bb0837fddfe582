"""The port between callers and the queue: submit a job, wait for it, look at it, answer it, cancel it.

Callers know nothing of PostgreSQL, SQLite or PgQueuer; ``postgres_engine`` and ``embedded_engine``
implement this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from composer_mcp.errors import JOB_CANCELLED, JOB_NEEDS_INPUT, ComposerError
from composer_mcp.jobs.requests import RESULTS, AnyRequest, AnyResult

if TYPE_CHECKING:
    from composer_mcp.jobs.admin import JobAdmin

OnProgress = Callable[[float, str], Awaitable[None]]


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    INPUT_REQUIRED = "input_required"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen: what is finished never changes its state again."""
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job as it is now.

    ``input_requests`` says what the job asks of a person, by a key of its own, while it is
    ``INPUT_REQUIRED``; each is an input request of the protocol. ``expires_at`` is the time until which the
    job is kept in any case.
    """

    id: UUID
    tenant: str
    kind: str
    state: JobState
    progress: float
    progress_message: str
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    input_requests: dict[str, Any] | None = None
    expires_at: datetime | None = None

    def outcome(self) -> AnyResult:
        """Return the result of a finished job.

        Raises:
            ComposerError: the one that ended it; job_cancelled, if it was cancelled;
                job_needs_input, while it waits for an answer.
        """
        if self.error is not None:
            raise ComposerError.from_dict(self.error)
        if self.state is JobState.CANCELLED:
            raise JOB_CANCELLED.error(job_id=str(self.id))
        if self.state is JobState.INPUT_REQUIRED:
            raise JOB_NEEDS_INPUT.error(job_id=str(self.id), inputs=", ".join(self.input_requests or ()))
        return RESULTS[self.kind].model_validate(self.result)


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer to a submitted job; ``created`` is false when an earlier call had submitted it."""

    job_id: UUID
    created: bool


class JobEngine(Protocol):
    """What the tools need of a queue."""

    async def submit(self, tenant: str, key: str, request: AnyRequest, correlation_id: str) -> Submission:
        """Accept a job durably; a key that was used before for the same request names the same job.

        Where the earlier job was cancelled, or failed with an error that may pass, the call makes another,
        which goes on from what that one has saved; the earlier one stays as it ended.

        Raises:
            idempotency_key_reused, queue_full, store_unavailable.
        """

    async def wait(self, job_id: UUID, on_progress: OnProgress) -> JobRecord:
        """Return the job once it is finished or needs input; the caller's going away does not stop it.

        Raises:
            job_pending: neither was so within the limit.
        """

    async def get(self, tenant: str, job_id: UUID) -> JobRecord:
        """Look at a job.

        Raises:
            job_unknown: there is none of that id, or it is another tenant's.
        """

    async def cancel(self, tenant: str, job_id: UUID) -> JobRecord:
        """End a job that is not finished, and return it; a finished one is returned as it is.

        The job is cancelled when this returns. A handler at work is stopped within a second, and cannot
        write to the job any more.

        Raises:
            job_unknown, store_unavailable.
        """

    async def answer(self, tenant: str, job_id: UUID, responses: dict[str, Any]) -> JobRecord:
        """Give answers to what a job asks; keys that it does not ask for are ignored.

        When nothing is left to ask, the job is queued again and its handler finds all answers in
        ``Work.inputs``. A job that asks nothing is returned as it is.

        Raises:
            job_unknown, store_unavailable.
        """

    def watch(self, tenant: str, job_ids: Collection[UUID]) -> AsyncIterator[JobRecord]:
        """Yield each job as it is now, then again whenever its state or progress changes.

        Ends when all are finished. Ids that are unknown or another tenant's are passed over. A slow
        consumer misses steps in between, never the newest.
        """

    def expected_seconds(self, kind: str) -> float:
        """Return how long a job of this kind takes from its start to its end: lately, or as declared."""

    @property
    def operators(self) -> JobAdmin:
        """What operators may do, with the jobs of all tenants."""
