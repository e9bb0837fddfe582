"""Clients of the protocol's older era, which could never ask for a task, wait for results as always.

Spoken to in plain JSON-RPC: the SDK's own client would not declare the extension in a handshake.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage, jsonrpc_message_adapter

from composer_mcp.mcp.tasks import IDENTIFIER

from .conftest import Server

pytestmark = pytest.mark.anyio

OLDER = "2025-11-25"
HANDSHAKE: dict[str, Any] = {
    "protocolVersion": OLDER,
    "capabilities": {"extensions": {IDENTIFIER: {}}},
    "clientInfo": {"name": "older", "version": "1"},
}
Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


async def has_results_and_no_tasks(server: Server, ask: Ask) -> None:
    greeted = await ask("initialize", HANDSHAKE)
    assert greeted["result"]["protocolVersion"] == OLDER
    waited = await ask("tools/call", {"name": "slow", "arguments": {}})
    assert waited["result"]["content"][0]["text"] == "slow was waited for"
    jobs = len(server.engine.records)
    refused = await ask("tools/call", {"name": "only_slow", "arguments": {}})
    assert refused["error"]["code"] == -32021 and OLDER in refused["error"]["message"]
    assert len(server.engine.records) == jobs == 1


async def test_a_session_over_http() -> None:
    server = Server()
    app = server.mcp.streamable_http_app(json_response=True)
    headers = {"Accept": "application/json, text/event-stream"}
    transport = httpx.ASGITransport(app)
    async with (
        server.mcp.session_manager.run(),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=headers) as http,
    ):

        async def ask(method: str, parameters: dict[str, Any]) -> dict[str, Any]:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
            answer = await http.post("/mcp", json=body)
            if session := answer.headers.get("mcp-session-id"):
                http.headers.update({"Mcp-Session-Id": session, "MCP-Protocol-Version": OLDER})
            told: dict[str, Any] = answer.json()
            return told

        await has_results_and_no_tasks(server, ask)


async def test_a_pair_of_streams_as_of_a_program() -> None:
    server = Server()
    sends, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](1)
    outgoing, receives = anyio.create_memory_object_stream[SessionMessage](1)
    lowlevel = server.mcp._lowlevel_server
    async with sends, receives, anyio.create_task_group() as group:
        group.start_soon(lowlevel.run, incoming, outgoing, lowlevel.create_initialization_options())

        async def ask(method: str, parameters: dict[str, Any]) -> dict[str, Any]:
            line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
            message: JSONRPCMessage = jsonrpc_message_adapter.validate_json(line)
            await sends.send(SessionMessage(message))
            with anyio.fail_after(5):
                answer = (await receives.receive()).message
            told: dict[str, Any] = answer.model_dump(mode="json", by_alias=True, exclude_none=True)
            return told

        await has_results_and_no_tasks(server, ask)
        group.cancel_scope.cancel()
