"""What a handler may use while it does a job: the port between the queue and the work itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from composer_mcp.browser.pool import BrowserPool
    from composer_mcp.composer.api import ComposerApi
    from composer_mcp.store.artifacts import ArtifactStore


class Progress(Protocol):
    """Tell the waiting caller how far the job is."""

    async def __call__(self, fraction: float, message: str) -> None:
        """Report ``fraction`` (0 to 1) with a short sentence; rate-limited, never fails."""


class Fence(Protocol):
    """Ask whether this worker still owns the job."""

    async def __call__(self) -> None:
        """Return if the job is still ours, else raise ``job_lost``; call it before each outside effect."""


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt at one job.

    ``attempt`` counts from 1; above 1 an earlier attempt may have had outside effects.
    ``first_started_at`` is when attempt 1 began.
    """

    job_id: UUID
    tenant: str
    idempotency_key: str
    attempt: int
    first_started_at: datetime
    progress: Progress
    fence: Fence
    composer: ComposerApi
    browsers: BrowserPool
    artifacts: ArtifactStore
