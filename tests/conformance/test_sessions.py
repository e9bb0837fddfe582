"""A session belongs to whoever opened it; the test server itself cannot be reached from outside."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest

from .conftest import Web
from .suite import ROOT

pytestmark = pytest.mark.timeout(60)
ACCEPT = {"Accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def headers(web: Web, **claims: str) -> dict[str, str]:
    return ACCEPT | {"Authorization": f"Bearer {web.platform.issuer.token(**claims)}"}


@pytest.mark.parametrize("claims", [{"tenant": "another"}, {"sub": "colleague"}])
def test_another_callers_session_does_not_exist(conversing: Web, claims: dict[str, str]) -> None:
    with httpx.Client() as http:
        mine = headers(conversing)
        session = http.post(conversing.url, json=INITIALIZE, headers=mine).headers["mcp-session-id"]
        mine["Mcp-Session-Id"] = session
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        foreign = headers(conversing, **claims) | {"Mcp-Session-Id": session}
        unknown = headers(conversing) | {"Mcp-Session-Id": "0" * 32}
        refused = http.post(conversing.url, json=ping, headers=foreign)
        never = http.post(conversing.url, json=ping, headers=unknown)
        assert (refused.status_code, refused.text) == (never.status_code, never.text)
        assert refused.status_code == 404
        assert http.delete(conversing.url, headers=foreign).status_code == 404
        assert http.post(conversing.url, json=ping, headers=mine).status_code == 200
        assert http.delete(conversing.url, headers=mine).status_code == 200
        assert http.post(conversing.url, json=ping, headers=mine).status_code == 404


def test_the_server_with_fixtures_listens_on_the_loopback_interface_only() -> None:
    command = [sys.executable, "-m", "tests.conformance.server", "--bind", "0.0.0.0:8101"]
    command += ["--config", "c", "--credentials", "c", "--token", "t"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "127.0.0.1 only" in done.stderr


def test_the_product_cannot_serve_the_fixtures() -> None:
    """Nothing of the package names them, and nothing in it can be told to load them."""
    sources = "\n".join(path.read_text() for path in (ROOT / "src/composer_mcp").rglob("*.py"))
    assert "conformance" not in sources
    assert "test_simple_text" not in sources
