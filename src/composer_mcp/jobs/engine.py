"""The port between callers and the queue: submit a job, wait for it, look at it.

Callers know nothing of PostgreSQL or PgQueuer; ``postgres_engine`` implements this.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.requests import RESULTS, AnyRequest, AnyResult

OnProgress = Callable[[float, str], Awaitable[None]]


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self in {JobState.SUCCEEDED, JobState.FAILED}


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One job as it is now."""

    id: UUID
    tenant: str
    kind: str
    state: JobState
    progress: float
    progress_message: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None

    def outcome(self) -> AnyResult:
        """Return the result of a finished job, or raise the error that ended it."""
        if self.error is not None:
            raise ComposerError.from_dict(self.error)
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

        Raises:
            idempotency_key_reused, queue_full, store_unavailable.
        """

    async def wait(self, job_id: UUID, on_progress: OnProgress) -> JobRecord:
        """Return the job once it is finished; the caller's going away does not stop it.

        Raises:
            job_pending: it was not finished within the limit.
        """

    async def get(self, tenant: str, job_id: UUID) -> JobRecord:
        """Look at a job.

        Raises:
            job_unknown: there is none of that id, or it is another tenant's.
        """
