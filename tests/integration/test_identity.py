"""What administrators change, over HTTP or by a command, counts in every process within two seconds."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from .support.installation import Platform
from .support.processes import run

#: Promised are two seconds; a busy machine of a test run is given more.
PATIENCE_SECONDS = 10.0
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture(scope="module")
def served(standing_two: Platform) -> Platform:
    return standing_two


@pytest.fixture(scope="module")
def standing_two(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Platform]:
    """A platform whose web has two processes."""
    from .conftest import new_platform

    with new_platform(
        tmp_path_factory.mktemp("identity"),
        request.getfixturevalue("postgres"),
        request.getfixturevalue("issuer"),
        request.getfixturevalue("authority"),
    ) as platform:
        platform.configure(web={"workers": 2})
        platform.start_web()
        yield platform


@pytest.fixture
def boss(served: Platform) -> Iterator[dict[str, str]]:
    """The headers of an administrator; afterwards there are no accounts."""
    served.run("user", "add", "boss", "--role", "administrator", "--tenant", "office")
    yield bearer(token(served, "boss", tenant="office", scope="accounts:manage"))
    served.sql(
        "delete from account; delete from token_revocation; update access_version set version = version + 1"
    )


def token(platform: Platform, subject: str, **claims: Any) -> str:
    return platform.issuer.token(sub=subject, **claims)


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def call(platform: Platform, value: str, body: Any = LIST) -> httpx.Response:
    """Call over a connection of its own, so that either process may answer."""
    headers = bearer(value) | {"Accept": "application/json, text/event-stream"}
    return httpx.post(platform.url, json=body, headers=headers, timeout=20)


def admin(platform: Platform, method: str, path: str, headers: dict[str, str], **more: Any) -> httpx.Response:
    url = f"http://127.0.0.1:{platform.port}/admin/v1{path}"
    return httpx.request(method, url, headers=headers, timeout=20, **more)


def everywhere(ask: Callable[[], httpx.Response], status: int) -> httpx.Response:
    """Wait until the answer is the same ten times in a row: from both processes."""
    give_up, same = time.monotonic() + PATIENCE_SECONDS, 0
    while same < 10:
        answer = ask()
        same = same + 1 if answer.status_code == status else 0
        assert time.monotonic() < give_up, (answer.status_code, answer.text)
        if not same:
            time.sleep(0.05)
    return answer


def refused(platform: Platform, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        platform.command(*arguments), capture_output=True, text=True, timeout=60, check=False, cwd="/"
    )
    return done.returncode, done.stderr


def test_an_administrative_scope_counts_only_with_an_account(served: Platform, boss: dict[str, str]) -> None:
    everywhere(lambda: admin(served, "GET", "/accounts", boss), 200)
    stranger = bearer(token(served, "stranger", scope="accounts:manage compositions:read"))
    answer = admin(served, "GET", "/accounts", stranger)
    assert (answer.status_code, answer.json()["code"]) == (403, "role_missing")
    assert "administrator" in answer.json()["remedy"]
    without = admin(served, "GET", "/accounts", bearer(token(served, "boss", tenant="office")))
    assert (without.status_code, without.json()["code"]) == (403, "insufficient_scope")
    assert 'scope="accounts:manage"' in without.headers["WWW-Authenticate"]


def test_the_life_of_an_account_over_http(served: Platform, boss: dict[str, str]) -> None:
    everywhere(lambda: admin(served, "GET", "/accounts", boss), 200)
    new = {
        "name": "ana", "issuer": served.issuer.url, "subject": "ana", "tenant": "school", "roles": ["reader"],
    }  # fmt: skip
    added = admin(served, "POST", "/accounts", boss, json=new)
    assert (added.status_code, added.json()["enabled"]) == (201, True)
    assert admin(served, "POST", "/accounts", boss, json=new).json()["code"] == "account_exists"
    wrong = admin(served, "POST", "/accounts", boss, json=new | {"name": "a b", "roles": ["king"]})
    assert wrong.status_code == 422
    assert {problem["path"] for problem in wrong.json()["problems"]} == {"body.name", "body.roles"}
    other = admin(served, "POST", "/accounts", boss, json=new | {"name": "b", "issuer": "https://evil.test"})
    assert (other.status_code, other.json()["code"]) == (422, "issuer_unknown")
    listed = admin(served, "GET", "/accounts", boss, params={"limit": 1}).json()
    assert [account["name"] for account in listed["accounts"]] == ["ana"] and listed["next"] == "ana"

    full = token(served, "ana")
    create = {**LIST, "method": "tools/call", "params": {"name": "create_composition", "arguments": {}}}
    answer = everywhere(lambda: call(served, full, create), 403)
    assert answer.json()["code"] == "role_missing" and "teacher" in answer.json()["remedy"]
    changed = admin(served, "PATCH", "/accounts/ana", boss, json={"roles": ["teacher"]})
    assert changed.json()["roles"] == ["teacher"]
    everywhere(lambda: call(served, full, create), 200)

    assert admin(served, "DELETE", "/accounts/ana", boss).status_code == 204
    assert admin(served, "GET", "/accounts/ana", boss).status_code == 404
    last = admin(served, "DELETE", "/accounts/boss", boss)
    assert (last.status_code, last.json()["code"]) == (409, "last_administrator")


def test_a_disabled_account_is_refused_by_all_processes_within_two_seconds(
    served: Platform, boss: dict[str, str]
) -> None:
    served.run("user", "add", "ana", "--role", "teacher", "--tenant", "school")
    good = token(served, "ana")
    everywhere(lambda: call(served, good), 200)
    served.run("user", "disable", "ana")
    began = time.monotonic()
    answer = everywhere(lambda: call(served, good), 403)
    assert answer.json()["code"] == "account_disabled"
    assert "error=" not in answer.headers.get("WWW-Authenticate", "")
    print(f"refused everywhere {time.monotonic() - began:.2f} s after the command had ended")
    served.run("user", "enable", "ana")
    everywhere(lambda: call(served, good), 200)


def test_an_account_is_good_for_its_own_tenant_only(served: Platform, boss: dict[str, str]) -> None:
    served.run("user", "add", "ana", "--role", "teacher", "--tenant", "school")
    answer = everywhere(lambda: call(served, token(served, "ana", tenant="other")), 403)
    assert answer.json()["code"] == "account_of_another_tenant"
    assert call(served, token(served, "ana")).status_code == 200


def test_one_token_can_be_revoked_before_it_expires(served: Platform, boss: dict[str, str]) -> None:
    everywhere(lambda: admin(served, "GET", "/accounts", boss), 200)
    bad, good = token(served, "ana", jti="one"), token(served, "ana", jti="two")
    assert call(served, bad).status_code == 200
    asked = {"issuer": served.issuer.url, "token_id": "one"}
    assert admin(served, "POST", "/revocations", boss, json=asked).status_code == 201
    answer = everywhere(lambda: call(served, bad), 401)
    assert "it was revoked" in answer.json()["message"]
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert call(served, good).status_code == 200
    run(served.command("user", "revoke", "--token"), say=good)
    everywhere(lambda: call(served, good), 401)
    told = json.loads(served.run("user", "revoked", "--json"))["revocations"]
    assert {one["token_id"] for one in told} == {"one", "two"}


def test_all_tokens_of_an_account_can_be_revoked(served: Platform, boss: dict[str, str]) -> None:
    served.run("user", "add", "ana", "--role", "teacher", "--tenant", "school")
    old = token(served, "ana", iat=int(time.time()) - 5)
    everywhere(lambda: call(served, old), 200)
    served.run("user", "revoke", "ana")
    everywhere(lambda: call(served, old), 401)
    assert call(served, token(served, "ana", iat=int(time.time()) + 1)).status_code == 200


def test_a_stream_ends_when_its_caller_is_disabled(served: Platform, boss: dict[str, str]) -> None:
    served.run("user", "add", "ana", "--role", "teacher", "--tenant", "school")
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "subscriptions/listen",
        "params": {
            "notifications": {"resourcesListChanged": True},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }
    headers = bearer(token(served, "ana")) | {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "subscriptions/listen",
    }
    with httpx.stream("POST", served.url, json=body, headers=headers, timeout=30) as stream:
        assert stream.status_code == 200
        lines = stream.iter_lines()
        assert any("acknowledged" in line for line in lines)
        served.run("user", "disable", "ana")
        began = time.monotonic()
        try:
            for _ in lines:
                assert time.monotonic() - began < PATIENCE_SECONDS
        except httpx.RemoteProtocolError:
            print("the stream was cut")
        assert time.monotonic() - began < PATIENCE_SECONDS


def test_what_was_known_counts_while_the_database_is_away(platform: Platform) -> None:
    platform.run("user", "add", "ana", "--role", "reader", "--tenant", "school")
    platform.run("user", "add", "rui", "--role", "teacher", "--tenant", "school")
    platform.run("user", "disable", "rui")
    platform.start_web()
    everywhere(lambda: call(platform, token(platform, "ana")), 200)
    platform.postgres.stop()
    try:
        time.sleep(3)
        assert call(platform, token(platform, "ana")).status_code == 200
        assert call(platform, token(platform, "rui")).json()["code"] == "account_disabled"
    finally:
        platform.postgres.start()
    platform.run("user", "enable", "rui")
    everywhere(lambda: call(platform, token(platform, "rui")), 200)


def test_where_accounts_are_required_nobody_else_gets_in(platform: Platform) -> None:
    platform.configure(access={"accounts": "required"})
    platform.run("user", "add", "ana", "--role", "reader", "--tenant", "school")
    platform.start_web()
    assert call(platform, token(platform, "ana")).status_code == 200
    answer = call(platform, token(platform, "stranger"))
    assert (answer.status_code, answer.json()["code"]) == (403, "account_needed")


def test_the_commands_say_what_they_refuse(served: Platform, boss: dict[str, str]) -> None:
    for arguments, code, reason in (
        (("user", "add", "ana", "--role", "king", "--tenant", "t"), 2, "there is no role king"),
        (("user", "add", "a b", "--role", "teacher", "--tenant", "t"), 2, "name:"),
        (("user", "add", "ana", "--role", "teacher"), 2, "--tenant is required"),
        (
            ("user", "add", "ana", "--role", "teacher", "--tenant", "t", "--issuer", "x"),
            2,
            "not trusted here",
        ),
        (("user", "add", "boss", "--role", "teacher", "--tenant", "t"), 1, "is taken"),
        (("user", "show", "nobody"), 1, "no account nobody"),
        (("user", "disable", "boss"), 1, "the last that can manage accounts"),
        (("user", "set-roles", "boss", "teacher"), 1, "the last that can manage accounts"),
        (("user", "remove", "boss"), 1, "the last that can manage accounts"),
        (("user", "revoke"), 2, "give one of"),
        (("user", "revoke", "--token"), 2, "not a JSON web token"),
    ):
        ended, told = refused(served, *arguments)
        assert ended == code and reason in told and "Traceback" not in told, (arguments, told)


def test_the_commands_show_accounts_as_a_table_and_as_json(served: Platform, boss: dict[str, str]) -> None:
    served.run(
        "user", "add", "lib", "--kind", "service", "--role", "reader", "--tenant", "school", "--note", "x"
    )
    listed = served.run("user", "list")
    assert [line.split()[:3] for line in listed.splitlines()] == [
        ["NAME", "KIND", "TENANT"], ["boss", "user", "office"], ["lib", "service", "school"],
    ]  # fmt: skip
    only = json.loads(served.run("user", "list", "--role", "reader", "--json"))["accounts"]
    assert [account["name"] for account in only] == ["lib"]
    shown = json.loads(served.run("user", "show", "lib", "--json"))
    assert shown["scopes"] == ["compositions:read", "jobs:read"]
    assert "compositions:read, jobs:read" in served.run("user", "show", "lib")
    changed = json.loads(served.run("user", "set-roles", "lib", "auditor", "reader", "--json"))
    assert changed["roles"] == ["auditor", "reader"]
    assert json.loads(served.run("user", "remove", "lib", "--json")) == {"removed": "lib"}
