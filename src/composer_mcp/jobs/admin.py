"""The port between operators and the jobs of all tenants: list, show, cancel, do again.

``postgres_admin`` and ``sqlite_admin`` implement it; ``cli.jobs`` and ``admin.jobs`` use it. An operator sees
how a job went, not what its tenant wrote: neither its arguments nor its result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from composer_mcp.errors import JOB_NOT_REPEATABLE, JOB_POISONED, ComposerError
from composer_mcp.jobs.engine import JobState
from composer_mcp.store.job_evidence import KeptEvidence

#: What a dead job failed with: it took its workers down.
DEAD = JOB_POISONED.code
LIST_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs are listed, newest first; ``before`` is the last one of the page before this one.

    ``state`` is one of a job, or ``dead``.
    """

    tenant: str | None = None
    state: str | None = None
    kind: str | None = None
    before: UUID | None = None
    limit: int = 50


def conditions(which: Filter) -> dict[str, Any]:
    """Return what a filter asks for, by name; ``dead`` is a failed job with an error of its own."""
    dead = which.state == "dead"
    wanted = {
        "tenant": which.tenant,
        "state": JobState.FAILED.value if dead else which.state,
        "code": DEAD if dead else None,
        "kind": which.kind,
        "before": which.before,
    }
    return {name: value for name, value in wanted.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a job: which worker (host and process), when, and how it ended.

    ``outcome`` is ``running``, ``succeeded``, ``cancelled``, ``input_required``, the code of an error, or
    ``lost``: its worker died or let go of it, and another attempt followed or follows.
    """

    number: int
    worker: str
    started_at: datetime
    outcome: str
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One line of the list."""

    job_id: UUID
    tenant: str
    kind: str
    state: JobState
    dead: bool
    short: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    error_code: str | None
    worker: str | None


@dataclass(frozen=True, slots=True)
class JobDetail:
    """Everything that is known of how a job went; of its attempts the newest.

    ``repeated_as`` is the job that has taken its place. ``evidence`` is what its page showed when it failed.
    """

    summary: JobSummary
    idempotency_key: str
    correlation_id: str
    progress: float
    progress_message: str
    deadline: datetime
    first_started_at: datetime | None
    attempts: Sequence[Attempt]
    asks: Sequence[str]
    error: Mapping[str, Any] | None
    repeated_as: UUID | None
    evidence: KeptEvidence | None = None


@dataclass(frozen=True, slots=True)
class Repeated:
    """The job that does it again; ``created`` is false when an earlier call had made it."""

    job_id: UUID
    tenant: str
    created: bool


class JobAdmin(Protocol):
    """What an operator may do with the jobs of all tenants."""

    async def list(self, which: Filter) -> Sequence[JobSummary]:
        """Return jobs, newest first.

        Raises:
            job_unknown: there is no job ``before``.
            store_unavailable.
        """

    async def show(self, job_id: UUID) -> JobDetail:
        """Return one job.

        Raises:
            job_unknown, store_unavailable.
        """

    async def cancel(self, job_id: UUID) -> JobDetail:
        """End a job that is not finished; a finished one is returned as it is.

        Raises:
            job_unknown, store_unavailable.
        """

    async def repeat(self, job_id: UUID, correlation_id: str) -> Repeated:
        """Do a failed job again under the same idempotency key, in a job of its own.

        It knows that there were attempts before and looks for what they have saved, so that all of them
        together have one effect. A second call returns the job that the first one made.

        Raises:
            job_not_repeatable: it has not failed, or what repeated it has failed as well.
            job_unknown, queue_full, store_unavailable.
        """


def attempts_of(
    history: Sequence[Mapping[str, Any]],
    state: JobState,
    error_code: str | None,
    finished_at: datetime | None,
    moment: Any,
) -> list[Attempt]:
    """Return what is remembered of a job's attempts, oldest first; ``moment`` reads a time of the store."""
    found = []
    for place, note in enumerate(history):
        newest = place == len(history) - 1
        ended = moment(note["finished_at"]) if "finished_at" in note else None
        outcome = note.get("outcome")
        if outcome is None:
            outcome = _outcome(state, error_code) if newest else "lost"
            ended = finished_at if newest else None
        found.append(
            Attempt(int(note["attempt"]), str(note["worker"]), moment(note["started_at"]), outcome, ended)
        )
    return found


def _outcome(state: JobState, error_code: str | None) -> str:
    if state is JobState.FAILED:
        return error_code or "failed"
    return "lost" if state is JobState.QUEUED else str(state.value)


def base_key(key: str, job_id: UUID) -> str:
    """Return the key by which a job was submitted; one that was repeated has given it up."""
    return key.removesuffix(f" {job_id}")


def repeated_already(job_id: UUID, newer: UUID, newer_state: JobState) -> ComposerError | None:
    """Return why a job cannot be repeated that was repeated as ``newer``; ``None`` if that one will do."""
    if newer_state is not JobState.FAILED:
        return None
    return JOB_NOT_REPEATABLE.error(
        job_id=str(job_id), reason=f"it was repeated as {newer}, which failed as well: repeat that one"
    )


def not_failed(job_id: UUID, state: JobState) -> ComposerError:
    """Return why a job cannot be repeated that is in another state than failed."""
    reasons = {
        JobState.SUCCEEDED: "it has succeeded",
        JobState.CANCELLED: "it was cancelled; whoever wants it after all repeats the call",
        JobState.INPUT_REQUIRED: "it is not finished: it waits for an answer",
    }
    return JOB_NOT_REPEATABLE.error(
        job_id=str(job_id), reason=reasons.get(state, f"it is not finished: it is {state.value}")
    )
