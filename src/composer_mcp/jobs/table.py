"""The port between an attempt and the table of jobs; ``postgres_table`` and ``sqlite_table`` implement it.

Every write names the attempt's ``owner`` and does nothing once the job is no longer that attempt's: taken
over, cancelled, finished. That is the fence which makes a second run of a job harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Started:
    """A job that this attempt has taken.

    ``epoch`` counts all starts of the job, ``attempts`` those since it was last queued by somebody: by a
    call, or by an answer. ``owner`` is this attempt's own and nobody else's, also after the database has
    forgotten its last moments. ``started_at`` is the database's time.
    """

    job_id: UUID
    generation: int
    owner: UUID
    tenant: str
    idempotency_key: str
    kind: str
    arguments: str
    epoch: int
    attempts: int
    correlation_id: str
    created_at: datetime
    deadline: datetime
    first_started_at: datetime
    started_at: datetime
    inputs: dict[str, Any]


class JobTable(Protocol):
    """What an attempt needs of storage. Every method may raise ``store_unavailable``, after some patience."""

    async def start(self, job_id: UUID, generation: int) -> Started | None:
        """Take a job; ``None`` if this entry of the queue is void: finished, cancelled or queued anew."""

    async def hold(self, job: Started) -> bool:
        """Return whether the job is still ours, and make its start durable: an outside effect follows."""

    async def owned(self, job: Started) -> bool:
        """Return whether the job is still ours."""

    async def progress(self, job: Started, fraction: float, message: str) -> bool:
        """Publish progress; return whether the job is still ours. Not patient: progress is a courtesy."""

    async def succeed(self, job: Started, result: str) -> bool:
        """End the job with a result (JSON); return whether it was still ours."""

    async def fail(self, job: Started, error: dict[str, Any]) -> bool:
        """End the job with an error; return whether it was still ours."""

    async def ask_input(self, job: Started, requests: dict[str, Any]) -> bool:
        """Let the job wait for answers, out of the queue; return whether it was still ours."""
