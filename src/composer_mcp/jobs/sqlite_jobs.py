"""What the engine of a server that runs alone does to the table of jobs: one function, one transaction.

The twins of ``job_submit`` and the statements of ``postgres_engine``. The queue itself is in memory, so
whatever is queued here is also handed to it by whoever calls.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from composer_mcp.jobs import rules
from composer_mcp.jobs.engine import JobRecord, JobState
from composer_mcp.jobs.overload import Pace

if TYPE_CHECKING:
    from composer_mcp.errors import ComposerError
    from composer_mcp.jobs.requests import AnyRequest
    from composer_mcp.settings import QueueSettings

RECORD = """
select id, tenant, kind, state, progress, progress_message, created_at, updated_at, started_at, finished_at,
       result, error, input_requests
from job where id = ?
"""
INSERT = """
insert into job (id, tenant, idempotency_key, kind, arguments, arguments_hash, correlation_id, created_at,
                 updated_at, deadline, epoch, first_started_at)
values (:id, :tenant, :key, :kind, :arguments, :hash, :correlation_id, :now, :now, :deadline, :epoch, :begun)
"""
#: What has ended stays as it ended; a repetition is a job of its own, which takes the key over.
GIVE_KEY_UP = "update job set idempotency_key = idempotency_key || ' ' || id where id = ?"
WAITING_OF_TENANT = """
select count(*) from job
where finished_at is null and state in ('queued', 'input_required') and tenant = ?
"""
WAITING = "select count(*) from job where finished_at is null and state = 'queued'"
PACE = """
select tenant, count(*) as ended, min(finished_at) as first from (
    select tenant, finished_at from job where finished_at > ? order by finished_at desc limit 1000
) group by tenant
"""
CANCEL = """
update job set state = 'cancelled', error = :error, owner = null, input_requests = null, finished_at = :now,
               updated_at = :now
where id = :id
"""
ANSWER = """
update job set input_requests = :requests, input_responses = :responses, updated_at = :now where id = :id
"""
RESUME = """
update job set state = 'queued', generation = generation + 1, attempts = 0, owner = null, progress = 0,
               progress_message = '', input_requests = null, input_responses = :responses,
               input_deadline = null, deadline = :deadline, updated_at = :now
where id = :id returning generation
"""
FAIL = """
update job set state = 'failed', error = :error, owner = null, finished_at = :now, updated_at = :now
where id = :id and generation = :generation and state in ('queued', 'running')
"""
GIVE_UP = """
update job set state = 'failed', error = :error, owner = null, input_requests = null, finished_at = :now,
               updated_at = :now
where id = :id
"""
DURATIONS = """
select kind, finished_at - started_at as seconds from job where state = 'succeeded' and finished_at > :since
order by finished_at desc limit 500
"""
DURATIONS_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Entry:
    """A job that is to be put into the queue."""

    job_id: UUID
    kind: str
    generation: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The outcome of a submission: ``created``, ``repeated``, ``existing``, ``key_reused`` or ``full``."""

    outcome: str
    entry: Entry | None = None
    waiting: int = 0
    tenant_full: bool = False


def submit(
    connection: sqlite3.Connection,
    queue: QueueSettings,
    tenant: str,
    key: str,
    request: AnyRequest,
    correlation_id: str,
) -> Accepted:
    """Accept a job, or find the one that the same key made, or find no room."""
    now = time.time()
    digest = rules.fingerprint(request)
    old = connection.execute(
        "select id, kind, arguments_hash, generation, state, error, epoch, first_started_at from job "
        "where tenant = ? and idempotency_key = ?",
        (tenant, key),
    ).fetchone()
    if old is not None:
        known = Entry(UUID(old["id"]), old["kind"], old["generation"])
        if old["arguments_hash"] != digest:
            return Accepted("key_reused", known)
        retryable = old["state"] == "failed" and json.loads(old["error"]).get("retryable")
        if old["state"] != "cancelled" and not retryable:
            return Accepted("existing", known)
    full = _full(connection, queue, tenant)
    if full is not None:
        return full
    values = {
        "tenant": tenant,
        "key": key,
        "kind": request.kind,
        "arguments": request.model_dump_json(),
        "hash": digest,
        "correlation_id": correlation_id,
        "now": now,
        "deadline": now + queue.deadline_seconds,
    }
    return _accept(connection, values, old)


def again(
    connection: sqlite3.Connection,
    queue: QueueSettings,
    job_id: UUID,
    key: str,
    correlation_id: str,
    now: float,
) -> Accepted | None:
    """Accept a failed job once more, in a job of its own; ``None`` if its key is another's by now."""
    old = connection.execute(
        "select id, tenant, idempotency_key as key, kind, arguments, arguments_hash as hash, epoch, "
        "first_started_at from job where id = ? and idempotency_key = ? and state = 'failed'",
        (str(job_id), key),
    ).fetchone()
    if old is None:
        return None
    full = _full(connection, queue, old["tenant"])
    if full is not None:
        return full
    values = {name: old[name] for name in ("tenant", "key", "kind", "arguments", "hash")}
    values |= {"correlation_id": correlation_id, "now": now, "deadline": now + queue.deadline_seconds}
    return _accept(connection, values, old)


def _accept(connection: sqlite3.Connection, values: dict[str, Any], old: sqlite3.Row | None) -> Accepted:
    # By its epoch a repetition knows that it is not the first attempt, and since when there were any.
    values |= {"epoch": old["epoch"] if old else 0, "begun": old["first_started_at"] if old else None}
    if old is not None:
        connection.execute(GIVE_KEY_UP, (old["id"],))
    job_id = uuid4()
    connection.execute(INSERT, values | {"id": str(job_id)})
    return Accepted("created" if old is None else "repeated", Entry(job_id, values["kind"], 1))


def _full(connection: sqlite3.Connection, queue: QueueSettings, tenant: str) -> Accepted | None:
    def count(statement: str, *values: Any) -> int:
        return int(connection.execute(statement, values).fetchone()[0])

    of_tenant, of_all = count(WAITING_OF_TENANT, tenant), count(WAITING)
    if of_tenant < queue.per_tenant_limit and of_all < queue.total_limit:
        return None
    tenant_full = of_tenant >= queue.per_tenant_limit
    return Accepted("full", waiting=of_tenant if tenant_full else of_all, tenant_full=tenant_full)


def cancel(connection: sqlite3.Connection, tenant: str, job_id: UUID) -> Entry | None:
    """End a job unless it is finished; return its entry of the queue, or ``None`` if it is unknown."""
    row = _find(connection, tenant, job_id)
    if row is None:
        return None
    if not JobState(row["state"]).finished:
        error = rules.cancelled(job_id, row["kind"], begun=row["epoch"] > 0)
        connection.execute(
            CANCEL, {"id": str(job_id), "error": json.dumps(error.as_dict()), "now": time.time()}
        )
    return Entry(job_id, row["kind"], row["generation"])


@dataclass(frozen=True, slots=True)
class Answered:
    """``entry`` is to be put into the queue, if the last question was answered."""

    entry: Entry | None


def answer(
    connection: sqlite3.Connection,
    queue: QueueSettings,
    tenant: str,
    job_id: UUID,
    responses: dict[str, Any],
) -> Answered | None:
    """Keep the answers to what a job asks; ``None`` if the job is unknown."""
    row = _find(connection, tenant, job_id)
    if row is None:
        return None
    if row["state"] != JobState.INPUT_REQUIRED:
        return Answered(None)
    remaining, answers = rules.take_answers(
        json.loads(row["input_requests"]), json.loads(row["input_responses"] or "{}"), responses
    )
    now = time.time()
    values = {"id": str(job_id), "responses": json.dumps(answers), "now": now}
    if remaining:
        connection.execute(ANSWER, values | {"requests": json.dumps(remaining)})
        return Answered(None)
    deadline = now + queue.deadline_seconds
    (generation,) = connection.execute(RESUME, values | {"deadline": deadline}).fetchone()
    return Answered(Entry(job_id, row["kind"], generation))


def _find(connection: sqlite3.Connection, tenant: str, job_id: UUID) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "select kind, state, epoch, generation, input_requests, input_responses from job "
        "where id = ? and tenant = ?",
        (str(job_id), tenant),
    ).fetchone()
    return row


def requeue(connection: sqlite3.Connection) -> list[Entry]:
    """Queue again what an earlier process left queued or running, oldest first."""
    connection.execute(
        "update job set state = 'queued', generation = generation + 1, owner = null "
        "where finished_at is null and state in ('queued', 'running')"
    )
    return queued(connection)


def queued(connection: sqlite3.Connection) -> list[Entry]:
    """Return what waits in the table, oldest first."""
    rows = connection.execute(
        "select id, kind, generation from job where finished_at is null and state = 'queued' "
        "order by created_at"
    )
    return [Entry(UUID(row["id"]), row["kind"], row["generation"]) for row in rows]


def give_back(connection: sqlite3.Connection) -> None:
    """Queue again what is running, because this process ends; that is not the job's fault.

    The first start stays counted: a job that began is continued at the next start however late that is.
    """
    connection.execute(
        "update job set state = 'queued', generation = generation + 1, owner = null, "
        "attempts = max(1, attempts - 1), updated_at = ? where finished_at is null and state = 'running'",
        (time.time(),),
    )


def fail(connection: sqlite3.Connection, job_id: UUID, generation: int, error: ComposerError) -> bool:
    """End a job that is still open, whoever owns it; return whether it was."""
    stored = json.dumps(error.as_dict(), default=str)
    values = {"id": str(job_id), "generation": generation, "error": stored, "now": time.time()}
    return connection.execute(FAIL, values).rowcount == 1


def give_up_asking(connection: sqlite3.Connection, queue: QueueSettings) -> list[UUID]:
    """Fail the jobs whose questions nobody answered in time."""
    now = time.time()
    rows = connection.execute(
        "select id from job where finished_at is null and state = 'input_required' and input_deadline < ?",
        (now,),
    ).fetchall()
    overdue = [UUID(row["id"]) for row in rows]
    for job_id in overdue:
        error = json.dumps(rules.unanswered(job_id, queue).as_dict())
        connection.execute(GIVE_UP, {"id": str(job_id), "error": error, "now": now})
    return overdue


def forget(connection: sqlite3.Connection, queue: QueueSettings) -> int:
    """Delete what has been finished for long."""
    before = time.time() - queue.retention_days * 86400
    return connection.execute("delete from job where finished_at < ?", (before,)).rowcount


def records(
    connection: sqlite3.Connection, queue: QueueSettings, job_ids: Collection[UUID]
) -> list[JobRecord]:
    """Read jobs; those that do not exist are left out."""
    found = []
    for job_id in job_ids:
        row = connection.execute(RECORD, (str(job_id),)).fetchone()
        if row is not None:
            found.append(_record(row, queue))
    return found


def _record(row: sqlite3.Row, queue: QueueSettings) -> JobRecord:
    values = dict(row)
    values["id"] = UUID(values["id"])
    values["state"] = JobState(values["state"])
    expires_at = values["created_at"] + queue.retention_days * 86400
    for name in ("created_at", "updated_at", "started_at", "finished_at"):
        values[name] = None if values[name] is None else datetime.fromtimestamp(values[name], UTC)
    for name in ("result", "error", "input_requests"):
        values[name] = None if values[name] is None else json.loads(values[name])
    return JobRecord(**values, expires_at=datetime.fromtimestamp(expires_at, UTC))


def pace(connection: sqlite3.Connection) -> Pace:
    """Return how fast the queue empties."""
    now = time.time()
    rows = connection.execute(PACE, (now - 60,)).fetchall()
    first = min((row["first"] for row in rows), default=now)
    return Pace({row["tenant"]: row["ended"] for row in rows}, max(1.0, now - first))


def durations(connection: sqlite3.Connection) -> dict[str, float]:
    """Return the median time of the jobs of the last hour, by kind."""
    times: dict[str, list[float]] = {}
    for kind, seconds in connection.execute(DURATIONS, {"since": time.time() - DURATIONS_SECONDS}):
        times.setdefault(kind, []).append(seconds)
    return {kind: sorted(each)[len(each) // 2] for kind, each in times.items()}


def queue(connection: sqlite3.Connection) -> tuple[dict[str, int], float]:
    """Return the number of jobs that are not finished, by state, and how long (s) the oldest has waited."""
    rows = connection.execute(
        "select state, count(*), min(updated_at) from job where finished_at is null group by state"
    ).fetchall()
    jobs = dict.fromkeys(("queued", "running", "input_required"), 0) | {row[0]: row[1] for row in rows}
    oldest = next((row[2] for row in rows if row[0] == "queued"), None)
    return jobs, 0.0 if oldest is None else max(0.0, time.time() - oldest)
