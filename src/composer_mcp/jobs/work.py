"""What a handler may use while it does a job: the port between the queue and the work itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol
from uuid import UUID

from composer_mcp.composer.evidence import Findings

if TYPE_CHECKING:
    from composer_mcp.browser.pool import BrowserPool
    from composer_mcp.composer.api import ComposerApi
    from composer_mcp.composer.logins import Logins
    from composer_mcp.store.artifacts import ArtifactStore
    from composer_mcp.store.compositions import CompositionRegistry
    from composer_mcp.store.job_evidence import JobEvidence


class InputNeeded(Exception):
    """Raised by a handler that cannot go on without a person's answer; it frees the worker.

    ``requests`` are input requests of the protocol, each under a key that the answer will carry. Once all
    are answered, the job is run again from its beginning, with the answers in :attr:`Work.inputs`.
    """

    def __init__(self, requests: dict[str, Any]) -> None:
        if not requests:
            raise ValueError("input is needed, but nothing is asked")
        self.requests = requests
        super().__init__(", ".join(requests))


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

    ``logins`` spares a page the login, ``evidence`` keeps what ``findings`` has when the job fails.
    ``owner`` is this attempt's own. ``attempt`` counts from 1; above 1 an earlier attempt may have had
    outside effects. ``first_started_at`` is when attempt 1 began. ``inputs`` are the answers given so far to
    what the job asked (see :class:`InputNeeded`), by the same keys. ``unowned`` says whether a composition
    that nobody owns, such as one made by hand, may be used by whoever has its uid.
    """

    job_id: UUID
    owner: UUID
    tenant: str
    idempotency_key: str
    attempt: int
    first_started_at: datetime
    progress: Progress
    fence: Fence
    composer: ComposerApi
    browsers: BrowserPool
    artifacts: ArtifactStore
    compositions: CompositionRegistry
    unowned: Literal["allow", "refuse"] = "allow"
    inputs: dict[str, Any] = field(default_factory=dict)
    logins: Logins | None = None
    evidence: JobEvidence | None = None
    findings: Findings = field(default_factory=Findings)
