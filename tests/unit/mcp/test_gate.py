"""The gate lets a request through exactly as it came, or says why not."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import principal_components
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from composer_mcp.errors import INVALID_TOKEN
from composer_mcp.mcp.gate import SESSION_METHODS, Gate
from composer_mcp.security import caller
from composer_mcp.security.access import everybody
from composer_mcp.security.caller import Caller
from composer_mcp.security.door import Door

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Verifier:
    """Takes the token for a list of scopes."""

    access = everybody()

    async def verify(self, token: str) -> Caller:
        if token == "bad":
            raise INVALID_TOKEN.error(reason='it says "no"')
        return Caller("issuer", "ana", "school", frozenset(token.split("+")), 4e9)


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo what came through the gate."""
    body = await Request(scope, receive).body()
    await JSONResponse({"tenant": caller.current.get().tenant, "size": len(body)})(scope, receive, send)


def door(body_limit: int = 1000) -> Door:
    return Door(Verifier(), "https://composer.test/mcp", body_limit)


def client(behind: ASGIApp = behind, **options: Any) -> httpx.AsyncClient:
    gate = Gate(behind, door(), **options)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["facts"] = {}
        await gate(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


async def post(token: str, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client().post("/mcp", content=content, headers={"Authorization": f"Bearer {token}"})


def call(tool: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}


async def test_the_body_arrives_whole() -> None:
    got = await post("compositions:read", call("get_composition"))
    assert got.json() == {"tenant": "school", "size": len(json.dumps(call("get_composition")))}


async def test_a_missing_scope_is_named_in_the_challenge() -> None:
    got = await post("compositions:read", call("update_composition"))
    assert got.status_code == 403
    assert 'scope="compositions:write"' in got.headers["WWW-Authenticate"]
    assert got.json()["code"] == "insufficient_scope" and got.json()["remedy"]


@pytest.mark.parametrize(
    "body",
    [
        [call("get_composition"), call("create_composition")],
        {"method": "tools/call", "params": {"name": "create_composition"}},
    ],
)
async def test_a_tool_is_found_wherever_it_hides(body: Any) -> None:
    assert (await post("compositions:read", body)).status_code == 403


def listen(**topics: Any) -> dict[str, Any]:
    return {"method": "subscriptions/listen", "params": {"notifications": topics}}


@pytest.mark.parametrize(
    ("body", "scope"),
    [
        ({"method": "tasks/get", "params": {"taskId": "x"}}, "jobs:read"),
        ({"method": "tasks/cancel"}, "compositions:write"),
        ({"method": "tasks/update", "params": 7}, "compositions:write"),
        (listen(taskIds=["x"]), "jobs:read"),
        (listen(resourcesListChanged=True), "compositions:read"),
        (listen(resourceSubscriptions=["composer://compositions/x"]), "compositions:read"),
    ],
)
async def test_tasks_and_subscriptions_need_what_the_tools_need_that_do_the_same(
    body: dict[str, Any], scope: str
) -> None:
    refused = await post("other:scope", body)
    assert refused.status_code == 403
    assert f'scope="{scope}"' in refused.headers["WWW-Authenticate"]
    assert (await post(scope, body)).status_code == 200


@pytest.mark.parametrize("body", [listen(), listen(toolsListChanged=True), listen(taskIds=[])])
async def test_what_is_the_same_for_everybody_can_be_listened_to_by_everybody(body: dict[str, Any]) -> None:
    assert (await post("other:scope", body)).status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"\xff\xfe", [], [1], {"method": "tools/call"}, call(7), call("no_such_tool")]
)
async def test_what_calls_no_tool_is_left_to_the_protocol(body: Any) -> None:
    assert (await post("compositions:read", body)).status_code == 200


@pytest.mark.parametrize("body", [b"[" * 50_000 + b"]" * 50_000, b'{"a":' * 70 + b"1" + b"}" * 70])
async def test_what_is_nested_too_deep_is_refused(body: bytes) -> None:
    gate = Gate(behind, door(1_000_000))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["facts"] = {}
        await gate(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as http:
        got = await http.post("/mcp", content=body, headers={"Authorization": "Bearer compositions:read"})
    assert (got.status_code, got.json()["code"]) == (400, "request_too_deep")


async def test_a_challenge_cannot_be_broken_by_quotes() -> None:
    challenge = (await post("bad", call("get_job"))).headers["WWW-Authenticate"]
    assert challenge.count('"') % 2 == 0 and '"no"' not in challenge


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer "}])
async def test_without_a_bearer_token_there_is_only_the_address_of_the_metadata(
    header: dict[str, str],
) -> None:
    got = await client().post("/mcp", headers=header)
    assert got.status_code == 401
    assert got.headers["WWW-Authenticate"] == (
        'Bearer resource_metadata="https://composer.test/.well-known/oauth-protected-resource/mcp"'
    )


async def test_a_large_body_is_refused_and_the_connection_closed() -> None:
    got = await post("compositions:read", b"x" * 1001)
    assert got.status_code == 413 and got.headers["Connection"] == "close"


@pytest.mark.parametrize("spoken", [["2025-11-25", "2026-07-28"], ["2025-11-25"], []])
async def test_headers_that_nobody_compares_with_the_body_are_not_believed(spoken: list[str]) -> None:
    """The first of several versions is the one the SDK speaks; before 2026 it ignores the other headers."""
    headers = [
        ("Authorization", "Bearer compositions:read"), ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "get_composition"), *(("MCP-Protocol-Version", version) for version in spoken),
    ]  # fmt: skip
    body = json.dumps(call("create_composition"))
    got = await client().post("/mcp", content=body, headers=httpx.Headers(headers))
    assert got.status_code == 403


async def test_a_call_abandoned_half_way_is_not_carried_out() -> None:
    async def beyond(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("a call without its whole body went through the gate")

    arriving = iter([
        {"type": "http.request", "body": b'{"method": ', "more_body": True}, {"type": "http.disconnect"},
    ])  # fmt: skip
    sent: list[Message] = []

    async def receive() -> Message:
        return next(arriving)

    async def send(message: Message) -> None:
        sent.append(message)

    gate = Gate(beyond, door())
    scope = {"type": "http", "path": "/mcp", "method": "POST", "headers": [], "state": {"facts": {}}}
    await gate(scope, receive, send)
    assert sent[0]["status"] == 400


async def test_only_a_server_with_sessions_answers_get_and_delete() -> None:
    headers = {"Authorization": "Bearer compositions:read"}
    refused = await client().delete("/mcp", headers=headers)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")
    with_sessions = client(methods=SESSION_METHODS)
    assert (await with_sessions.delete("/mcp", headers=headers)).status_code == 200
    assert (await with_sessions.get("/mcp")).status_code == 401
    assert (await with_sessions.put("/mcp", headers=headers)).status_code == 405


async def test_what_lies_behind_knows_the_caller_but_not_the_token() -> None:
    async def who(scope: Scope, receive: Receive, send: Send) -> None:
        """Echo the identity that the SDK binds sessions and sealed states to."""
        known = get_access_token()
        assert known is scope["user"].access_token
        await JSONResponse({"who": principal_components(known), "token": known.token})(scope, receive, send)

    answer = await client(who).post("/mcp", json={}, headers={"Authorization": "Bearer compositions:read"})
    assert answer.json() == {"who": ["school", "issuer", "ana"], "token": ""}
    assert get_access_token() is None
