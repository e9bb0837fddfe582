"""A server with the tasks extension, on an engine whose jobs change when a test says so."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, ElicitRequest, ElicitRequestFormParams, InputRequiredResult, TextContent

from composer_mcp.errors import JOB_UNKNOWN, ComposerError
from composer_mcp.jobs.engine import JobRecord, JobState, OnProgress, Submission
from composer_mcp.mcp.tasks import IDENTIFIER, Accepted, Backing, Tasks, TaskSupport, deferred

VERSION = "2026-07-28"
MINE, OTHER = "school", "another"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def a_record(state: JobState = JobState.QUEUED, **differences: Any) -> JobRecord:
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "id": uuid.uuid4(), "tenant": MINE, "kind": "kind", "state": state, "progress": 0.0,
        "progress_message": "", "created_at": now, "updated_at": now, "started_at": None,
        "finished_at": None, "result": None, "error": None, "expires_at": now + timedelta(days=7),
    }  # fmt: skip
    return JobRecord(**(values | differences))


class Engine:
    """The port, with jobs in a dictionary; ``change`` moves one on."""

    def __init__(self) -> None:
        self.records: dict[uuid.UUID, JobRecord] = {}
        self.answers: dict[str, Any] = {}
        self.seconds = 3.0
        self.away: ComposerError | None = None
        self._changed = asyncio.Event()

    def add(self, record: JobRecord) -> JobRecord:
        self.records[record.id] = record
        return record

    def change(self, record: JobRecord, **differences: Any) -> JobRecord:
        self._changed.set()
        self._changed = asyncio.Event()
        return self.add(dataclasses.replace(record, updated_at=datetime.now(UTC), **differences))

    async def submit(self, tenant: str, key: str, request: Any, correlation_id: str) -> Submission:
        return Submission(self.add(a_record(tenant=tenant, kind=request)).id, created=True)

    async def wait(self, job_id: uuid.UUID, on_progress: OnProgress) -> JobRecord:
        raise NotImplementedError

    async def get(self, tenant: str, job_id: uuid.UUID) -> JobRecord:
        if self.away is not None:
            raise self.away
        record = self.records.get(job_id)
        if record is None or record.tenant != tenant:
            raise JOB_UNKNOWN.error(job_id=str(job_id), days=7)
        return record

    async def cancel(self, tenant: str, job_id: uuid.UUID) -> JobRecord:
        record = await self.get(tenant, job_id)
        return record if record.state.finished else self.change(record, state=JobState.CANCELLED)

    async def answer(self, tenant: str, job_id: uuid.UUID, responses: dict[str, Any]) -> JobRecord:
        record = await self.get(tenant, job_id)
        self.answers |= responses
        left = {key: value for key, value in (record.input_requests or {}).items() if key not in responses}
        state = record.state if left else JobState.QUEUED
        return self.change(record, state=state, input_requests=left or None)

    async def watch(self, tenant: str, job_ids: Collection[uuid.UUID]) -> AsyncIterator[JobRecord]:
        shown: dict[uuid.UUID, JobRecord] = {}
        while True:
            changed = self._changed
            for job_id in job_ids:
                record = self.records[job_id]
                if shown.get(job_id) is not record:
                    shown[job_id] = record
                    yield record
            if all(record.state.finished for record in shown.values()):
                return
            await changed.wait()

    def expected_seconds(self, kind: str) -> float:
        return self.seconds


async def render(record: JobRecord) -> CallToolResult:
    text = TextContent(type="text", text=f"{record.kind} is done")
    return CallToolResult(content=[text], structured_content={"of": record.kind}, is_error=bool(record.error))


class Server:
    """The extension in a real server, spoken to over HTTP."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.tenant = MINE
        self.may_follow = True
        self.tasks = Tasks(
            lambda _context: Backing(self.engine, self.tenant, render, may_follow=self.may_follow),
            {"slow": TaskSupport.OPTIONAL, "only_slow": TaskSupport.REQUIRED},
        )
        self.tasks.declare("asks_first", TaskSupport.REQUIRED)
        self.mcp = MCPServer("tasks", extensions=[self.tasks])
        engine = self.engine

        async def work(kind: str) -> str:
            submission = await engine.submit(MINE, "key", kind, "")
            if deferred.get():
                raise Accepted(submission)
            return f"{kind} was waited for"

        @self.mcp.tool()
        async def slow() -> str:
            return await work("slow")

        @self.mcp.tool()
        async def only_slow() -> str:
            return await work("only_slow")

        @self.mcp.tool()
        async def quick() -> str:
            return await work("quick")

        @self.mcp.tool()
        async def asks_first(call: Context[Any, Any]) -> str | InputRequiredResult:
            if not call.input_responses:
                form = ElicitRequestFormParams(
                    message="Name?", requested_schema={"type": "object", "properties": {}}
                )
                return InputRequiredResult(
                    input_requests={"name": ElicitRequest(params=form)}, request_state="x"
                )
            return await work("asks_first")

        self._app = self.mcp.streamable_http_app(stateless_http=True, json_response=True)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        async with self.mcp.session_manager.run():
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as self._http:
                yield self

    async def post(
        self,
        method: str,
        parameters: dict[str, Any] | None = None,
        *,
        extension: bool = True,
        name: str | None = None,
        version: str = VERSION,
    ) -> httpx.Response:
        """Send one request as a client does; ``name`` is what goes into its header."""
        parameters = parameters or {}
        capabilities = {"elicitation": {}, "extensions": {IDENTIFIER: {}} if extension else {}}
        meta = {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        }
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": version,
            "Mcp-Method": method,
        }
        if name is None:
            name = parameters.get("name") or parameters.get("taskId")
        if name:
            headers["Mcp-Name"] = name
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters | {"_meta": meta}}
        return await self._http.post("/mcp", json=body, headers=headers)

    async def ask(self, method: str, parameters: dict[str, Any] | None = None, **how: Any) -> dict[str, Any]:
        answer = (await self.post(method, parameters, **how)).json()
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def refused(
        self, method: str, parameters: dict[str, Any] | None = None, **how: Any
    ) -> dict[str, Any]:
        answer = (await self.post(method, parameters, **how)).json()
        assert "error" in answer, answer
        error: dict[str, Any] = answer["error"]
        return error


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server().running() as running:
        yield running
