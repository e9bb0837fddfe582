"""From a tool to the queue: submit one job, pass its progress on, wait for its end."""

from __future__ import annotations

import dataclasses
import re
import uuid
from typing import Any

from mcp.server.mcpserver import Context

from composer_mcp.errors import COMPOSITION_NOT_FOUND, ComposerError
from composer_mcp.jobs.engine import JobRecord
from composer_mcp.jobs.requests import AnyRequest
from composer_mcp.mcp.services import Services
from composer_mcp.mcp.tasks.acceptance import Accepted, deferred
from composer_mcp.observability import tracing
from composer_mcp.observability.access import correlation_id
from composer_mcp.security import caller
from composer_mcp.store.compositions import SHORT_CHARACTERS, CompositionRegistry

Call = Context[Services, Any]
#: No uid of Composer's looks like this.
SHORT = re.compile(rf"[0-9a-f]{{{SHORT_CHARACTERS}}}")


async def run(call: Call, request: AnyRequest, key: str | None = None) -> JobRecord:
    """Submit a job and return it once it is finished, whether well or not.

    A repetition of an earlier call is answered with the earlier job.

    Raises:
        composition_not_found: the request has the short id of none of the tenant's compositions.
        Accepted: the job is accepted and :data:`deferred` is set.
        idempotency_key_reused, queue_full, store_unavailable: nothing was accepted.
        job_pending: it goes on, but the longest wait is over.
    """
    services = call.request_context.lifespan_context
    engine = services.engine
    tenant = caller.current.get().tenant
    request = await _with_uid(request, tenant, services.compositions)
    origin = tracing.stored(correlation_id.get())
    submission = await engine.submit(tenant, key or uuid.uuid4().hex, request, origin)
    if deferred.get():
        raise Accepted(submission)
    furthest = -1.0

    async def on_progress(fraction: float, message: str) -> None:
        # The protocol wants progress to increase; after a take-over a job starts over.
        nonlocal furthest
        if fraction > furthest:
            furthest = fraction
            await call.report_progress(fraction, 1.0, message)

    try:
        record = await engine.wait(submission.job_id, on_progress)
    except ComposerError as error:
        error.details.setdefault("job_id", str(submission.job_id))
        raise
    return record if submission.created else _repeated(record)


async def _with_uid(request: AnyRequest, tenant: str, registry: CompositionRegistry) -> AnyRequest:
    """Return a request with the whole uid of the composition that it names by its short id."""
    short = getattr(request, "uid", None)
    if short is None or not SHORT.fullmatch(short):
        return request
    uid = await registry.find(tenant, short)
    if uid is None:
        raise COMPOSITION_NOT_FOUND.error()
    return request.model_copy(update={"uid": uid})


def _repeated(record: JobRecord) -> JobRecord:
    """Return the record of a job that an earlier call had submitted: what it made was made then."""
    if record.result is None or "created" not in record.result:
        return record
    return dataclasses.replace(record, result=record.result | {"created": False})
