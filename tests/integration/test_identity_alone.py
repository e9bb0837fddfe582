"""A server that runs alone knows accounts too: its owner makes them, beside the running server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .support.alone import CLI, Alone
from .support.processes import run

PATIENCE_SECONDS = 15.0
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
COMPOSER = {"project_uid": "p", "connector_uid": "c"}


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Alone]:
    secrets = {"composer-token": "header.payload.signature", "composer-project-key": "0" * 32}
    server = Alone(tmp_path, COMPOSER, {}, secrets)
    server.serve()
    yield server
    server.stop()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.strip()}", "Accept": "application/json, text/event-stream"}


def admin(alone: Alone, method: str, path: str, token: str, **more: Any) -> httpx.Response:
    return httpx.request(method, f"{alone.url}/admin/v1{path}", headers=bearer(token), timeout=20, **more)


def call(alone: Alone, token: str) -> httpx.Response:
    return httpx.post(f"{alone.url}/mcp", json=LIST, headers=bearer(token), timeout=20)


def until(status: int, ask: Any) -> httpx.Response:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while (answer := ask()).status_code != status:
        assert time.monotonic() < give_up, (answer.status_code, answer.text)
        time.sleep(0.05)
    return answer


def test_its_owner_makes_an_administrator_who_makes_a_service_account(alone: Alone) -> None:
    alone.run("user", "add", "boss", "--role", "administrator")
    boss = alone.run("token", "--account", "boss", "--scope", "accounts:manage")
    until(200, lambda: admin(alone, "GET", "/accounts", boss))
    new = {
        "name": "lib", "kind": "service", "issuer": "urn:composer-mcp:local", "subject": "lib",
        "tenant": "local", "roles": ["reader"],
    }  # fmt: skip
    assert admin(alone, "POST", "/accounts", boss, json=new).status_code == 201
    # Without a wait: the process that changed it knows it already.
    lib = alone.run("token", "--account", "lib", "--minutes", "5")
    assert call(alone, lib).status_code != 401
    alone.run("user", "disable", "lib")
    assert until(403, lambda: call(alone, lib)).json()["code"] == "account_disabled"
    assert [account["name"] for account in json.loads(alone.run("user", "list", "--json"))["accounts"]] == [
        "boss", "lib",
    ]  # fmt: skip


def test_a_token_of_its_own_can_be_revoked(alone: Alone) -> None:
    lost = alone.run("token", "--scope", "jobs:read")
    assert call(alone, lost).status_code != 401
    run([CLI, *alone.arguments("user", "revoke", "--token")], say=lost)
    assert "it was revoked" in until(401, lambda: call(alone, lost)).json()["message"]
