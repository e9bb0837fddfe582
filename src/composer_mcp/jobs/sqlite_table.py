"""The table of jobs on SQLite, as an attempt sees it; see ``JobTable`` for the promises."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from composer_mcp.composition.json_values import storable
from composer_mcp.jobs import rules
from composer_mcp.jobs.slots import worker_name
from composer_mcp.jobs.table import Started
from composer_mcp.store.sqlite import Sqlite

START = """
update job set state = 'running', epoch = epoch + 1, attempts = attempts + 1, owner = :owner,
               started_at = :now, updated_at = :now, first_started_at = coalesce(first_started_at, :now),
               history = json_insert(
                   iif(json_array_length(history) >= :limit, json_remove(history, '$[0]'), history),
                   '$[#]', json_object('attempt', epoch + 1, 'worker', :worker, 'started_at', :now))
where id = :id and generation = :generation and state in ('queued', 'running')
returning tenant, idempotency_key, kind, arguments, epoch, attempts, correlation_id, created_at, deadline,
          first_started_at, started_at, input_responses
"""
OWNED = "select true from job where id = :id and owner = :owner and state = 'running'"
PROGRESS = """
update job set progress = :progress, progress_message = :message, updated_at = :now
where id = :id and owner = :owner and state = 'running'
"""
FINISH = """
update job set state = :state, result = :result, error = :error, finished_at = :now, updated_at = :now
where id = :id and owner = :owner and state = 'running'
"""
ASK = """
update job set state = 'input_required', input_requests = :requests, input_deadline = :deadline,
               updated_at = :now,
               history = json_set(history, '$[#-1].outcome', 'input_required', '$[#-1].finished_at', :now)
where id = :id and owner = :owner and state = 'running'
"""


class SqliteJobTable:
    """Reads and writes rows of ``job``; ``changed`` is told of each job that moved on."""

    def __init__(self, database: Sqlite, input_seconds: float, changed: Callable[[UUID], None]) -> None:
        self._database = database
        self._input_seconds = input_seconds
        self._changed = changed
        self._worker = worker_name()

    async def start(self, job_id: UUID, generation: int) -> Started | None:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        owner = uuid4()
        named = {
            "id": str(job_id),
            "owner": str(owner),
            "generation": generation,
            "now": time.time(),
            "worker": self._worker,
            "limit": rules.HISTORY_LIMIT,
        }
        row = await self._database.run(
            lambda connection: connection.execute(START, named).fetchone(), "The job is queued."
        )
        if row is None:
            return None
        self._changed(job_id)
        values = dict(row)
        for name in ("created_at", "deadline", "first_started_at", "started_at"):
            values[name] = datetime.fromtimestamp(values[name], UTC)
        values["inputs"] = json.loads(values.pop("input_responses") or "{}")
        return Started(job_id=job_id, generation=generation, owner=owner, **values)

    async def hold(self, job: Started) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`; every start is durable here."""
        return await self.owned(job)

    async def owned(self, job: Started) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        row = await self._database.run(lambda connection: connection.execute(OWNED, _ours(job)).fetchone())
        return row is not None

    async def progress(self, job: Started, fraction: float, message: str) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        return await self._write(job, PROGRESS, progress=fraction, message=message)

    async def succeed(self, job: Started, result: str) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        return await self._write(job, FINISH, state="succeeded", result=result, error=None)

    async def fail(self, job: Started, error: dict[str, Any]) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        stored = json.dumps(storable(error), default=str)
        return await self._write(job, FINISH, state="failed", result=None, error=stored)

    async def ask_input(self, job: Started, requests: dict[str, Any]) -> bool:
        """See :class:`~composer_mcp.jobs.table.JobTable`."""
        deadline = time.time() + self._input_seconds
        return await self._write(job, ASK, requests=json.dumps(requests), deadline=deadline)

    async def _write(self, job: Started, statement: str, **values: Any) -> bool:
        named = _ours(job) | values | {"now": time.time()}

        def write(connection: sqlite3.Connection) -> int:
            return connection.execute(statement, named).rowcount

        changed = await self._database.run(write)
        if changed:
            self._changed(job.job_id)
        return bool(changed)


def _ours(job: Started) -> dict[str, Any]:
    return {"id": str(job.job_id), "owner": str(job.owner)}
