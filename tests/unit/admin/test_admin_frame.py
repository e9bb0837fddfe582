"""The admin API lets in whom it should, and tells every error as the rest of the server does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from composer_mcp.admin import app as frame
from composer_mcp.admin.access import Opened, requires
from composer_mcp.audit.requests import Witness
from composer_mcp.errors import INVALID_TOKEN, JOB_UNKNOWN
from composer_mcp.security.access import everybody
from composer_mcp.security.caller import Caller
from composer_mcp.security.door import Door
from tests.unit.audit.trails import kept_trail

pytestmark = pytest.mark.anyio
router = APIRouter(prefix="/things")


class Thing(BaseModel):
    size: int = Field(ge=1)


@router.post("/{name}")
async def make(name: str, thing: Thing, who: Annotated[Caller, requires("config:manage")]) -> dict[str, Any]:
    if name == "broken":
        raise RuntimeError("secret of the house")
    if name == "missing":
        raise JOB_UNKNOWN.error(job_id="7", days=30)
    return {"name": name, "size": thing.size, "by": who.subject}


@router.get("/{name}")
async def use(_services: Opened, _who: Annotated[Caller, requires("config:manage")]) -> dict[str, Any]:
    return {}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Verifier:
    """Takes the token for a list of scopes."""

    access = everybody()

    async def verify(self, token: str) -> Caller:
        if token == "bad":
            raise INVALID_TOKEN.error(reason="no reason")
        return Caller("issuer", "ana", "school", frozenset(token.split("+")), 4e9)


@pytest.fixture
async def http(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(frame, "ROUTERS", (router,))
    witness = Witness()
    api = frame.AdminApi(Door(Verifier(), "https://composer.test/mcp", 1000, witness))

    async def others(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"elsewhere": Request(scope).url.path})(scope, receive, send)

    beside = api.beside(others)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["facts"] = {}
        await beside(scope, receive, send)

    async with kept_trail(tmp_path) as trail, witness.recording(trail):
        yield httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


MANAGER = bearer("config:manage")


async def test_a_caller_with_the_scope_is_answered(http: httpx.AsyncClient) -> None:
    got = await http.post("/admin/v1/things/one", json={"size": 2}, headers=MANAGER)
    assert (got.status_code, got.json()) == (200, {"name": "one", "size": 2, "by": "ana"})
    assert got.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({}, 401, "invalid_token"), (bearer("bad"), 401, "invalid_token"),
     (bearer("jobs:read"), 403, "insufficient_scope")],
)  # fmt: skip
async def test_nobody_else_is(
    http: httpx.AsyncClient, headers: dict[str, str], status: int, code: str
) -> None:
    for body in (b'{"size": 2}', b'{"size": 0}'):
        sent = headers | {"Content-Type": "application/json"}
        got = await http.post("/admin/v1/things/one", content=body, headers=sent)
        assert (got.status_code, got.json()["code"]) == (status, code)
        assert "resource_metadata=" in got.headers["WWW-Authenticate"]


@pytest.mark.parametrize("path", ["/admin/v1", "/admin/v1/", "/admin/v1/no", "/admin/v1/openapi.json"])
async def test_a_stranger_learns_nothing_of_what_there_is(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 401
    assert (await http.get(path, headers=bearer("jobs:read"))).status_code in (403, 404)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/no", b"", 404, "not_found"),
        ("GET", "/things/one/", b"", 404, "not_found"),
        ("GET", "/docs", b"", 404, "not_found"),
        ("DELETE", "/things/one", b"", 405, "method_not_allowed"),
        ("POST", "/things/one", b"{", 422, "invalid_request"),
        ("POST", "/things/one", b'{"size": 0}', 422, "invalid_request"),
        ("POST", "/things/one", b"\xff", 422, "invalid_request"),
        ("POST", "/things/one", b"[" * 900, 422, "invalid_request"),
        ("POST", "/things/one", b" " * 1001, 413, "body_too_large"),
        ("POST", "/things/missing", b'{"size": 1}', 404, "job_unknown"),
        ("POST", "/things/broken", b'{"size": 1}', 500, "internal"),
        ("GET", "/things/one", b"", 503, "store_unavailable"),
    ],
)  # fmt: skip
async def test_every_error_has_code_sentence_and_remedy(
    http: httpx.AsyncClient, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    headers = MANAGER | {"Content-Type": "application/json"}
    got = await http.request(method, f"/admin/v1{path}", content=body, headers=headers)
    told = got.json()
    assert (got.status_code, told["code"]) == (status, code)
    assert told["message"] and told["remedy"] and "secret" not in got.text
    assert ("Retry-After" in got.headers) == (status == 503)


async def test_a_broken_rule_is_told_with_its_place(http: httpx.AsyncClient) -> None:
    got = await http.post("/admin/v1/things/one", json={"size": 0}, headers=MANAGER)
    (problem,) = got.json()["problems"]
    assert problem["path"] == "body.size" and "greater than or equal to 1" in problem["message"]


async def test_other_addresses_are_left_to_others(http: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/admin/v10/things", "/admin"):
        assert (await http.get(path)).json() == {"elsewhere": path}


async def test_the_document_names_the_scope_of_each_operation(http: httpx.AsyncClient) -> None:
    document = (await http.get("/admin/v1/openapi.json", headers=MANAGER)).json()
    operation = document["paths"]["/things/{name}"]["post"]
    assert operation["security"] == [{"token": ["config:manage"]}]
    assert document["servers"] == [{"url": "/admin/v1"}]
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_a_caller_who_leaves_half_way_changes_nothing() -> None:
    api = frame.AdminApi(Door(Verifier(), "https://composer.test/mcp", 1000))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "path": "/admin/v1/things/one", "method": "POST",
        "headers": [], "state": {"facts": {}},
    }  # fmt: skip
    await api(scope, receive, send)
    assert sent[0]["status"] == 400
