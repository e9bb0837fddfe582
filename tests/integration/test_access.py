"""Who gets in: tokens, scopes, sizes, encryption."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from .support.authority import Authority
from .support.installation import PUBLIC_URL, Platform, error_of
from .support.issuer import Issuer

METADATA = "https://composer.lab.test/.well-known/oauth-protected-resource/mcp"
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "create_composition", "arguments": {}},
}


@pytest.fixture
def web(standing: Platform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{standing.port}", timeout=20) as client:
        yield client


def post(web: httpx.Client, token: str | None, body: Any = CALL, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"} | headers
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    return web.post("/mcp", content=content, headers=sent)


def test_without_a_token_the_answer_says_where_to_get_one(web: httpx.Client, standing: Platform) -> None:
    answer = post(web, None)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f'Bearer resource_metadata="{METADATA}"'
    metadata = web.get(METADATA.removeprefix("https://composer.lab.test")).json()
    assert metadata["resource"] == PUBLIC_URL
    assert metadata["authorization_servers"] == [standing.issuer.url]
    assert metadata["scopes_supported"] == ["compositions:read", "compositions:write", "jobs:read"]


def test_a_wrong_token_is_refused_with_the_reason(web: httpx.Client, standing: Platform) -> None:
    issuer, now = standing.issuer, int(time.time())
    for token, reason in {
        "nonsense": "not a JSON web token",
        issuer.token(exp=now - 60): "expired",
        issuer.token(aud="https://elsewhere.test/mcp"): "another audience",
        issuer.token(iss="https://evil.test"): "not trusted",
        issuer.token(tenant=None): "tenant",
    }.items():
        answer = post(web, token)
        assert answer.status_code == 401
        assert reason in answer.json()["message"]
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert f'resource_metadata="{METADATA}"' in answer.headers["WWW-Authenticate"]


def test_a_missing_scope_is_named(web: httpx.Client, standing: Platform) -> None:
    answer = post(web, standing.issuer.token(scope="compositions:read"))
    assert answer.status_code == 403
    challenge = answer.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge and 'scope="compositions:write"' in challenge
    assert standing.sql("select count(*) from job") == "0"


def test_a_scope_cannot_be_had_by_announcing_another_tool(web: httpx.Client, standing: Platform) -> None:
    token = standing.issuer.token(scope="compositions:read")
    for body in (CALL, [CALL]):
        assert post(web, token, body, **{"Mcp-Name": "get_composition"}).status_code == 403


def test_a_stream_is_not_opened_for_get(web: httpx.Client, standing: Platform) -> None:
    answer = web.get("/mcp", headers={"Authorization": f"Bearer {standing.issuer.token()}"})
    assert answer.status_code == 405 and answer.headers["Allow"] == "POST"


def test_a_body_beyond_the_limit_is_refused(web: httpx.Client, standing: Platform) -> None:
    token = standing.issuer.token()
    assert post(web, token, b" " * (1024 * 1024 + 1)).status_code == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(17):
            yield b" " * 65536

    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    assert web.post("/mcp", content=chunks(), headers=headers).status_code == 413


def test_a_refusal_leaves_the_connection_usable(web: httpx.Client, standing: Platform) -> None:
    """The edge sends the calls of many users over one connection."""
    for token in ["nonsense", None, standing.issuer.token(scope="")] * 20:
        assert post(web, token, CALL | {"padding": "x" * 100_000}).status_code in (401, 403)


def test_another_host_name_is_not_answered(web: httpx.Client, standing: Platform) -> None:
    assert post(web, standing.issuer.token(), Host="evil.test").status_code == 421
    assert post(web, standing.issuer.token(), Origin="https://evil.test").status_code == 403


def test_a_key_that_the_issuer_just_made_is_accepted(platform: Platform, issuer: Issuer) -> None:
    platform.start_web()
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    with httpx.Client(base_url=f"http://127.0.0.1:{platform.port}", timeout=20) as web:
        token, asked = issuer.token(), issuer.requests
        answers = {post(web, token, ping).status_code for _ in range(5)}
        assert answers == {200} and issuer.requests == asked + 1
        with issuer.rotated("second"):
            # Looked for at once or ten seconds later, but never more often: a forger's key ids are free.
            for _ in range(20):
                post(web, issuer.token(), ping)
            assert issuer.requests <= asked + 2


@pytest.mark.anyio
async def test_only_permitted_tools_are_listed(standing: Platform) -> None:
    async with standing.client(standing.issuer.token(scope="jobs:read")) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["get_job"]


@pytest.mark.anyio
async def test_broken_arguments_are_listed_with_their_paths(standing: Platform) -> None:
    async with standing.client() as client:
        result = await client.call_tool(
            "create_composition", {"lesson": {"title": "", "elements": [{"type": "txt"}], "extra": 1}}
        )
    error = error_of(result)
    assert error["code"] == "invalid_lesson"
    told = {problem["path"] for problem in error["details"]["problems"]}
    assert {"lesson.title", "lesson.elements[0].type", "lesson.extra"} <= told
    assert standing.sql("select count(*) from job") == "0"


def test_without_a_client_certificate_there_is_no_answer(platform: Platform, authority: Authority) -> None:
    certificate, key = authority.issue("web")
    (platform.credentials / "tls.key").write_bytes(key.read_bytes())
    platform.start(
        platform.command(
            "serve", "--bind", f"127.0.0.1:{platform.port}",
            "--certificate", str(certificate), "--authority", str(authority.certificate),
        ),
        "ASGI server listening",
    )  # fmt: skip
    url = f"https://localhost:{platform.port}/health/live"

    stranger = Authority(platform.folder / "stranger", "another authority")
    for client_certificate in (None, stranger.issue("client")):
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError)):
            httpx.get(url, verify=trust(authority, client_certificate))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        httpx.get(url.replace("https", "http"))
    assert httpx.get(url, verify=trust(authority, authority.issue("edge"))).json()["live"]


def trust(authority: Authority, client: tuple[Any, Any] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if client is not None:
        context.load_cert_chain(*client)
    return context
