"""Errors of jobs, and of where jobs and what they make are kept."""

from __future__ import annotations

from composer_mcp.errors.kinds import ErrorCode

KEY_REUSED = ErrorCode(
    "idempotency_key_reused",
    status=409,
    sentence="The idempotency key was used before for a different call ({kind}, job {job_id}).",
    remedy="Use a new key for a new call. To repeat the earlier one, repeat its arguments exactly.",
)
QUEUE_FULL = ErrorCode(
    "queue_full",
    status=429,
    sentence="{waiting} jobs {whose} are already waiting; the limit is {limit}. Nothing was accepted.",
    remedy="Wait {retry_after} s and repeat the call with the same idempotency key.",
    retryable=True,
)
JOB_UNKNOWN = ErrorCode(
    "job_unknown",
    status=404,
    sentence="There is no job {job_id} of yours; finished jobs are forgotten after {days} days.",
    remedy="Check the id.",
)
JOB_PENDING = ErrorCode(
    "job_pending",
    status=202,
    sentence="The job {job_id} was accepted and goes on, but is not done after {seconds} s.",
    remedy="Ask get_job for it later, or repeat the call with the same idempotency key to wait again.",
    retryable=True,
)
JOB_LOST = ErrorCode(
    "job_lost",
    status=409,
    sentence="Another worker has taken the job over.",
    remedy="Nothing to do: the other worker finishes it.",
    retryable=True,
)
JOB_POISONED = ErrorCode(
    "job_poisoned",
    status=500,
    sentence="{attempts} workers died while they did this job, so it was given up.",
    remedy="Look at get_composition before you repeat the call: an attempt may have saved it. "
    "Give the operator the job id.",
)
JOB_NOT_REPEATABLE = ErrorCode(
    "job_not_repeatable",
    status=409,
    sentence="The job {job_id} cannot be repeated: {reason}. Nothing was changed.",
    remedy="Repeat only jobs that have failed; composer-mcp jobs list --state failed shows them.",
)
DEADLINE_EXCEEDED = ErrorCode(
    "deadline_exceeded",
    status=504,
    sentence="The job waited {seconds} s without being started, longer than allowed. Nothing was saved.",
    remedy="Repeat the call with the same idempotency key.",
    retryable=True,
)
JOB_TIMEOUT = ErrorCode(
    "job_timeout",
    status=504,
    sentence="The job was stopped after {seconds} s. Something may have been saved.",
    remedy="Repeat the call with the same idempotency key: it continues from what was saved.",
    retryable=True,
)
JOB_CANCELLED = ErrorCode(
    "job_cancelled",
    status=409,
    sentence="The job {job_id} was cancelled. {saved}",
    remedy="Nothing to do. To have it done after all, repeat the call with the same idempotency key: "
    "it continues from what was saved.",
    retryable=True,
)
JOB_NEEDS_INPUT = ErrorCode(
    "job_needs_input",
    status=409,
    sentence="The job {job_id} waits for an answer to: {inputs}.",
    remedy="Answer what it asks, or cancel it.",
)
INPUT_TIMEOUT = ErrorCode(
    "input_timeout",
    status=504,
    sentence="Nobody answered what the job {job_id} asked within {seconds} s, so it was given up.",
    remedy="Repeat the call with the same idempotency key, and answer what it asks.",
    retryable=True,
)
STORE_UNAVAILABLE = ErrorCode(
    "store_unavailable",
    status=503,
    sentence="The server's own {store} does not answer as it should. {state}",
    remedy="Repeat the call with the same idempotency key in a few seconds.",
    retryable=True,
)
EVIDENCE_UNKNOWN = ErrorCode(
    "evidence_unknown",
    status=404,
    sentence="Nothing is kept of what a page showed in the job {job_id}.",
    remedy="Check the id; evidence is kept of jobs that failed with a page open, as long as the job itself.",
)
ARTIFACT_UNKNOWN = ErrorCode(
    "artifact_unknown",
    status=404,
    sentence="There is no artifact {key}.",
    remedy="Repeat the call that made it.",
)
ARTIFACT_TOO_LARGE = ErrorCode(
    "artifact_too_large",
    status=413,
    sentence="What was made has {bytes} bytes, and {limit} may be kept.",
    remedy="Make it of fewer elements.",
)
