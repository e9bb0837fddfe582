"""Characters and numbers that no database holds: clearly refused by the front, and no harm to the trail."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from composer_mcp.admin.app import describe

from .support.alone import Alone
from .support.installation import Platform
from .support.processes import Process

pytestmark = pytest.mark.anyio

SCOPES = "accounts:manage jobs:operate config:manage audit:read"
#: As they stand in an address: NUL, half a character, what is no UTF-8, a number and times beyond bounds.
IN_ADDRESSES = (
    "%00", "a%00b", "%ED%A0%80", "%FF", "9" * 40, "-1", "1e400", "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-14:00", "2026-13-40",
)  # fmt: skip
#: As they stand in JSON.
IN_BODIES = (
    r'"\u0000"', r'"\ud800"', r'"a\udfff"', "1" + "0" * 400, "1e400", "NaN", "[]", r'{"\ud800": "\u0000"}',
    '"9999-12-31T23:59:59Z"', '"0001-01-01T00:00:00+14:00"',
)  # fmt: skip
Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module", params=["platform", "alone"])
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Ask the admin API as somebody who may do everything."""
    if request.param == "platform":
        platform: Platform = request.getfixturevalue("standing")
        platform.run("user", "add", "boss", "--role", "administrator", "--tenant", "school")
        token = platform.issuer.token("school", SCOPES, sub="boss")
        yield _asking(platform.url.removesuffix("/mcp"), token)
        return
    folder: Path = tmp_path_factory.mktemp("alone")
    secrets = {"composer-token": "header.payload.signature", "composer-project-key": "0" * 32}
    server = Alone(folder, {"project_uid": "p", "connector_uid": "c"}, {}, secrets)
    server.serve()
    server.run("user", "add", "boss", "--role", "administrator")
    wanted = [word for scope in SCOPES.split() for word in ("--scope", scope)]
    yield _asking(server.url, server.run("token", "--account", "boss", *wanted).strip())
    server.stop()


def _asking(server: str, token: str) -> Ask:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    http = httpx.Client(base_url=f"{server}/admin/v1", headers=headers, timeout=30)
    for _ in range(150):
        # Every process follows the accounts within a second or two.
        if http.get("/settings").status_code == 200:
            break
    return http.request


def operations(*methods: str) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, known in describe()["paths"].items()
        for method, operation in known.items()
        if method in methods
    ]


def clear(answer: httpx.Response) -> None:
    """Expect an answer, or a refusal that says what is wrong; never that the server is to blame."""
    assert answer.status_code < 500, (str(answer.url), answer.request.content, answer.text)
    if answer.status_code >= 400:
        told = answer.json()
        assert told["code"] and told["message"] and told["remedy"], answer.text


def test_no_filter_breaks_anything(ask: Ask) -> None:
    tried = 0
    for method, path, operation in operations("get"):
        for parameter in operation.get("parameters", []):
            for value in IN_ADDRESSES:
                name, place = parameter["name"], path
                if parameter["in"] == "path":
                    place = path.replace(f"{{{name}}}", value)
                else:
                    place += f"?{name}={value}"
                answer = ask(method, place)
                clear(answer)
                if "%00" in value and parameter["in"] == "query":
                    assert answer.status_code == 422 and answer.json()["problems"], (place, answer.text)
                tried += 1
    assert tried > 200, "the document names them all"


def test_no_body_breaks_anything(ask: Ask) -> None:
    for method, path, operation in operations("post", "patch"):
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            continue
        name = schema["$ref"].rpartition("/")[2]
        fields = describe()["components"]["schemas"][name]["properties"]
        for field in [*fields, "unknown", r"\ud800"]:
            for value in IN_BODIES:
                others = [f'"{other}": {_usual(other)}' for other in fields if other != field]
                body = "{" + ", ".join([*others, f'"{field}": {value}']) + "}"
                clear(ask(method, path.replace("{name}", "a-user"), content=body.encode()))
    for field, value in itertools.product(
        ("log.level", "queue.per_tenant_limit", "queue.deadline_seconds", r"\u0000", r"\ud800"), IN_BODIES
    ):
        clear(ask("PATCH", "/settings", content=f'{{"set": {{"{field}": {value}}}}}'.encode()))
        clear(ask("PATCH", "/settings", content=f'{{"unset": ["{field}", {value}]}}'.encode()))


def _usual(field: str) -> str:
    usual: dict[str, Any] = {
        "name": "somebody", "kind": "user", "issuer": "https://issuer.test", "subject": "somebody",
        "tenant": "school", "roles": ["teacher"], "token_id": "one", "version": None, "set": {}, "unset": [],
        "enabled": True, "note": "", "revoke_tokens": False, "expires_at": None,
    }  # fmt: skip
    return json.dumps(usual.get(field))


def test_what_was_tried_is_in_a_good_trail(ask: Ask) -> None:
    ask("GET", "/audit/entries?tenant=%00")
    found: list[Any] = []
    after = ""
    while not found or not found[-1]["done"]:
        answer = ask("GET", "/audit/verify", params={"limit": 1000} | ({"after": after} if after else {}))
        found.append(answer.json())
        after = found[-1]["checkpoint"]
    assert all(stretch["ok"] for stretch in found) and sum(stretch["entries"] for stretch in found) > 0
    refused = ask("GET", "/audit/entries", params={"outcome": "http_422", "limit": 500}).json()["entries"]
    assert any("%00" in json.dumps(entry["details"]) for entry in refused), "who tried what is told"
    assert not any("not_kept" in entry["details"] for entry in refused)


async def test_a_call_with_such_values_is_recorded_as_any_other(
    serving: Platform, standing_worker: Process
) -> None:
    mark = int(serving.sql("select number from audit_mark where name = 'head'"))
    calls: list[tuple[str, str]] = []
    names = (r"\u0000", r"\ud800", r"x\udfff\u0000")
    async with httpx.AsyncClient(timeout=60) as http:
        for text in names:
            lesson = f'{{"title": "{text}", "elements": [{{"type": "text", "text": "{text}"}}]}}'
            for tool, arguments in (
                ("create_composition", f'{{"lesson": {lesson}, "idempotency_key": "key-{text}"}}'),
                ("get_composition", f'{{"uid": "{text}", "{text}": "{text}"}}'),
                ("search_compositions", f'{{"text": "{text}"}}'),
                (text, "{}"),
            ):
                answer = await _called(serving, http, tool, arguments)
                assert answer.status_code < 500, (tool, text, answer.text)
                # Half a character is no JSON to the protocol's library, and so no call.
                calls += [(tool, text)] if answer.status_code == 200 else []
        # A login: whoever issues the token has such a name in it.
        odd = serving.issuer.token("school", sub="ana\0\ud83d")
        answer = await _called(serving, http, "get_widget_catalog", "{}", odd)
        assert answer.status_code < 500, answer.text
        good = await _called(serving, http, "get_widget_catalog", "{}")
        assert good.status_code == 200 and "heading" in good.text, "nobody else is held up"
    found: list[dict[str, Any]] = []
    for _ in range(100):
        lines = await asyncio.to_thread(serving.sql, f"select line from audit where number > {mark}")
        found = [json.loads(line) for line in lines.splitlines()]
        if sum(told["action"] == "tool.get_widget_catalog" for told in found) == 2:
            break
        await asyncio.sleep(0.1)
    else:
        raise AssertionError(found)
    recorded = [told["action"] for told in found if not told["action"].startswith("job.")]
    for tool in ("create_composition", "get_composition", "search_compositions"):
        assert (tool, names[0]) in calls
        assert recorded.count(f"tool.{tool}") >= sum(called == tool for called, _ in calls)
    assert json.loads(await asyncio.to_thread(serving.run, "audit", "verify", "--json"))["ok"]


async def _called(
    platform: Platform, http: httpx.AsyncClient, tool: str, arguments: str, token: str = ""
) -> httpx.Response:
    """Call a tool with a text that is JSON already: what a client's own library would not write."""
    body = (
        '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", '
        f'"params": {{"name": "{tool}", "arguments": {arguments}}}}}'
    )
    headers = {
        "Authorization": f"Bearer {token or platform.issuer.token()}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    return await http.post(platform.url, content=body.encode(), headers=headers)
