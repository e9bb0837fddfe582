"""What holds for jobs wherever they are stored; shared by all engines, and free of input and output."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from composer_mcp.errors import INPUT_TIMEOUT, INTAKE_CLOSED, JOB_CANCELLED, QUEUE_FULL, ComposerError
from composer_mcp.jobs.requests import KINDS

if TYPE_CHECKING:
    from composer_mcp.jobs.requests import AnyRequest
    from composer_mcp.runtime.settings import IntakeSettings
    from composer_mcp.settings import QueueSettings


#: So many attempts of a job are remembered, the newest.
HISTORY_LIMIT = 20
#: Up to so many waiting jobs are counted for each call; see ``job_accept``.
EXACT_LIMIT = 2000


def fingerprint(request: AnyRequest) -> str:
    """Return a hash by which two calls with the same key are compared: kind and arguments, in any order."""
    canonical = json.dumps(request.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def cancelled(job_id: UUID, kind: str, *, begun: bool) -> ComposerError:
    """Return the error that a cancelled job keeps: it says whether something may have been saved."""
    if not begun:
        saved = "It had not begun; nothing was saved."
    elif not KINDS[kind].writes:
        saved = "It changes nothing in Composer."
    else:
        saved = "It had begun, so something may have been saved."
    return JOB_CANCELLED.error(job_id=str(job_id), saved=saved)


def unanswered(job_id: UUID, queue: QueueSettings) -> ComposerError:
    """Return the error of a job that waited for an answer too long."""
    return INPUT_TIMEOUT.error(job_id=str(job_id), seconds=round(queue.input_seconds))


def require_open(intake: IntakeSettings) -> None:
    """Raise ``intake_closed`` if the operator has new jobs refused; for calls that found no room."""
    if intake.mode == "refuse":
        raise INTAKE_CLOSED.error(reason=intake.reason, retry_after=intake.retry_seconds)


def refused(queue: QueueSettings, *, tenant_full: bool, waiting: int, retry_after: int) -> ComposerError:
    """Return the error of a submission that found the queue full."""
    return QUEUE_FULL.error(
        waiting=waiting,
        whose="of this tenant" if tenant_full else "of all tenants",
        limit=queue.per_tenant_limit if tenant_full else queue.total_limit,
        retry_after=retry_after,
    )


def take_answers(
    requests: dict[str, Any], known: dict[str, Any], responses: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what remains to be asked, and all answers so far; answers to what was not asked are dropped."""
    given = {key: response for key, response in responses.items() if key in requests}
    remaining = {key: request for key, request in requests.items() if key not in given}
    return remaining, known | given
