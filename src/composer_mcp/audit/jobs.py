"""Records how jobs end, wherever their worker runs."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from composer_mcp.audit.entry import Clean, Entry, now

if TYPE_CHECKING:
    from composer_mcp.jobs.table import Started

_ACTOR = f"worker:{socket.gethostname()}"


def job_ended(job: Started, outcome: str) -> Entry:
    """Return the entry of an attempt at a job that is over; its call has the same correlation id."""
    return Entry(
        at=now(),
        tenant=job.tenant,
        actor=_ACTOR,
        action=f"job.{job.kind}",
        target=str(job.job_id),
        outcome="ok" if outcome == "succeeded" else outcome,
        correlation_id=job.correlation_id,
        details=Clean(attempt=job.epoch),
    )
