"""Who did what is in the trail: calls of tools, jobs, refusals, the admin API, the commands; no secret is."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .support.installation import Platform, error_of
from .support.processes import Process

pytestmark = pytest.mark.anyio

CANARY = "canary-4f1c9a7be2d03586"
LESSON: dict[str, Any] = {
    "title": "Cells",
    "elements": [{"type": "text", "text": f"A secret: password={CANARY} of the school. " + "word " * 400}],
}
ADMIN = "accounts:manage jobs:operate config:manage audit:read"


@pytest.fixture
def audited(serving: Platform, standing_worker: Process) -> Iterator[Platform]:
    """The standing platform, of whose trail only what is recorded from now on matters."""
    serving.mark = int(serving.sql("select number from audit_mark where name = 'head'"))
    yield serving


def entries(platform: Platform, **wanted: str) -> list[dict[str, Any]]:
    told = platform.sql(f"select line from audit where number > {platform.mark} order by number").splitlines()
    found = [json.loads(line) for line in told]
    return [entry for entry in found if all(entry[name] == value for name, value in wanted.items())]


def awaited(platform: Platform, **wanted: str) -> list[dict[str, Any]]:
    """Return entries that are noted: they come within a second, or a little later on a busy machine."""
    give_up = time.monotonic() + 10
    while not (found := entries(platform, **wanted)) and time.monotonic() < give_up:
        time.sleep(0.1)
    return found


async def test_a_write_is_in_the_trail_before_its_answer(audited: Platform) -> None:
    async with audited.client() as client:
        made = await client.call_tool(
            "create_composition", {"lesson": LESSON, "idempotency_key": "audit-key-1"}
        )
    assert not made.is_error, made
    begun, ended = await asyncio.to_thread(entries, audited, action="tool.create_composition")
    assert (begun["outcome"], ended["outcome"]) == ("begun", "ok")
    assert ended["target"] == made.structured_content["id"]
    for told in (begun, ended):
        assert told["tenant"] == "school" and told["actor"].startswith(audited.issuer.url)
        assert told["source"] == "127.0.0.1" and len(told["correlation_id"]) == 32
    arguments = begun["details"]["arguments"]
    assert arguments["idempotency_key"] == "audit-key-1" and arguments["lesson"]["title"] == "Cells"
    assert len(json.dumps(arguments)) < 2000, "enough to tell what was asked for, no copy of it"
    (job,) = await asyncio.to_thread(awaited, audited, action="job.create_composition")
    assert job["outcome"] == "ok" and job["correlation_id"] == begun["correlation_id"]
    assert job["actor"].startswith("worker:")


async def test_reads_failures_and_what_may_not_be_done_are_in_the_trail(audited: Platform) -> None:
    async with audited.client() as client:
        await client.call_tool("get_composition", {"uid": "sit-0600"})
        failed = await client.call_tool("get_composition", {"uid": "no!"})
        unknown = await client.call_tool("drop_everything", {"now": True})
    (read,) = await asyncio.to_thread(awaited, audited, action="tool.get_composition", outcome="ok")
    assert read["target"] == "sit-0600"
    assert await asyncio.to_thread(awaited, audited, outcome=error_of(failed)["code"])
    (tried,) = await asyncio.to_thread(awaited, audited, action="tool.drop_everything")
    assert tried["outcome"] == error_of(unknown)["code"] and tried["details"] == {"arguments": {"now": True}}

    token = audited.issuer.token("school", "compositions:read")
    call = {"name": "create_composition", "arguments": {}}
    async with httpx.AsyncClient(timeout=20) as http:
        sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
        assert (await http.post(audited.url, json=sent, headers=headers)).status_code == 403
    (forbidden,) = await asyncio.to_thread(awaited, audited, outcome="insufficient_scope")
    assert forbidden["action"] == "tool.create_composition" and forbidden["tenant"] == "school"


async def test_a_flood_of_bad_tokens_is_a_number_and_not_a_flood(audited: Platform) -> None:
    async with httpx.AsyncClient(timeout=60) as http:
        for _ in range(150):
            headers = {"Authorization": f"Bearer {CANARY}", "X-Forwarded-For": "192.0.2.7"}
            assert (await http.post(audited.url, json={}, headers=headers)).status_code == 401
    (refused,) = await asyncio.to_thread(awaited, audited, action="token.refused")
    assert refused["source"] == "127.0.0.1", "without an edge nobody is believed about his address"
    assert refused["details"]["count"] == 1 and "JSON web token" in refused["details"]["reason"]
    assert refused["actor"] == "anonymous" and refused["outcome"] == "invalid_token"


async def test_cancelling_a_job_and_reading_a_resource_are_in_the_trail(audited: Platform) -> None:
    async with audited.client() as client:
        await client.call_tool("cancel_job", {"job_id": "0b8ee7ae-6d6b-4f0a-9c3e-2f4c9f1f7a55"})
        await client.read_resource("composer://compositions/sit-0600")
    begun, ended = await asyncio.to_thread(entries, audited, action="tool.cancel_job")
    assert (begun["outcome"], ended["outcome"]) == ("begun", "job_unknown")
    (read,) = await asyncio.to_thread(awaited, audited, action="resource.read")
    assert (read["outcome"], read["target"]) == ("ok", "composer://compositions/sit-0600")


async def test_the_admin_api_is_in_the_trail_and_shows_it(audited: Platform) -> None:
    await asyncio.to_thread(
        audited.run, "user", "add", "boss", "--role", "administrator", "--tenant", "school"
    )
    token = audited.issuer.token("school", ADMIN, sub="boss")
    base = audited.url.removesuffix("/mcp") + "/admin/v1"
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=20) as http:
        for _ in range(100):
            # Every process follows the accounts within a second or two.
            if (await http.get("/settings")).status_code == 200:
                break
            await asyncio.sleep(0.2)
        changed = await http.patch("/settings", json={"set": {"log.level": "debug"}})
        assert changed.status_code == 200, changed.text
        (patched, ended) = await asyncio.to_thread(entries, audited, action="admin.PATCH")
        assert patched["details"]["arguments"]["body"] == {"set": {"log.level": "debug"}}
        assert (ended["outcome"], ended["target"]) == ("ok", "/admin/v1/settings")
        await http.patch("/settings", json={"unset": ["log.level"]})

        shown = (await http.get("/audit/entries", params={"action": "admin.PATCH", "limit": 2})).json()
        assert [entry["outcome"] for entry in shown["entries"]] == ["ok", "begun"]
        number = shown["entries"][0]["number"]
        assert (await http.get(f"/audit/entries/{number}")).json() == shown["entries"][0]
        assert (await http.get("/audit/entries/99999999999")).json()["code"] == "audit_entry_unknown"
        point = (await http.get("/audit/checkpoint")).json()
        older = await http.get("/audit/entries", params={"before": shown["before"], "limit": 1})
        assert older.json()["entries"][0]["number"] < shown["before"]
        assert (await http.get("/audit/entries", params={"before": "x"})).status_code == 422
    verified = await asyncio.to_thread(audited.run, "audit", "verify", "--against", point["checkpoint"])
    assert "intact" in verified
    assert await asyncio.to_thread(awaited, audited, action="admin.GET", target="/admin/v1/audit/checkpoint")

    other = {"Authorization": f"Bearer {audited.issuer.token('school', 'jobs:operate', sub='boss')}"}
    async with httpx.AsyncClient(base_url=base, headers=other, timeout=20) as http:
        assert (await http.get("/audit/entries")).status_code == 403
    assert await asyncio.to_thread(awaited, audited, action="admin.GET", outcome="http_403")


def test_the_command_line_shows_and_verifies_and_says_where_it_was_changed(
    platform: Platform, tmp_path: Path
) -> None:
    for level in ("debug", "info", "warning"):
        platform.run("config", "set", "log.level", level)
    listed = json.loads(platform.run("audit", "list", "--action", "config.*", "--json"))["entries"]
    assert [entry["number"] for entry in listed] == [3, 2, 1]
    assert listed[0]["actor"].startswith("cli:") and listed[0]["details"]["values"] == {
        "log.level": "warning"
    }
    assert "config.set log.level: ok; cli:" in platform.run("audit", "list", "--limit", "1")
    assert listed[1]["hash"] in platform.run("audit", "show", "2")
    point = platform.run("audit", "checkpoint")
    kept = tmp_path / "checkpoints"
    kept.write_text(point)
    archived = json.loads(
        platform.run("audit", "archive", "--before", "2100-01-01", "--to", f"{tmp_path}/old", "--json")
    )
    assert archived["archived"]["last"] == 3
    good = json.loads(
        platform.run("audit", "verify", "--json", "--against", str(kept), "--archive", f"{tmp_path}/old")
    )
    assert good["ok"] and [(part["first"], part["last"]) for part in good["parts"]] == [(1, 3), (4, 4)]
    assert "audit.archive" in platform.run("audit", "list")

    platform.run("config", "unset", "log.level")
    platform.sql(
        "update audit set outcome = 'lost', line = replace(line, '\"ok\"', '\"lost\"') where number = 5"
    )
    with pytest.raises(AssertionError, match="entry 5: it was changed"):
        platform.run("audit", "verify")
    platform.run("audit", "restart", "--to", f"{tmp_path}/broken", "--reason", "changed by the test")
    assert json.loads(platform.run("audit", "verify", "--json"))["ok"]
    (first,) = json.loads(platform.run("audit", "list", "--json"))["entries"]
    assert first["action"] == "audit.restart" and first["details"]["reason"] == "changed by the test"


async def test_a_trail_that_was_tampered_with_stops_every_call_and_says_so(platform: Platform) -> None:
    platform.start_web()
    mark = platform.sql("select seal from audit_mark where name = 'head'")
    platform.sql("update audit_mark set number = 99, key = 'ours' where name = 'head'")
    async with platform.client() as client:
        # Noted, and found to fit nowhere within a second.
        await client.call_tool("list_tools_of_mine", {})
        for _ in range(50):
            refused = await client.call_tool("get_widget_catalog", {})
            if refused.is_error:
                break
            await asyncio.sleep(0.2)
        assert error_of(refused)["code"] == "audit_broken"
    health = f"http://127.0.0.1:{platform.port}/health/ready"
    async with httpx.AsyncClient(timeout=20) as http:
        ready = await http.get(health)
    assert ready.status_code == 503 and "audit trail" in ready.text
    platform.sql(f"update audit_mark set number = 0, key = '', seal = '{mark}' where name = 'head'")
    async with httpx.AsyncClient(timeout=20) as http:
        for _ in range(50):
            if (await http.get(health)).status_code == 200:
                break
            await asyncio.sleep(0.2)
    async with platform.client() as client:
        assert not (await client.call_tool("get_widget_catalog", {})).is_error


async def test_no_secret_is_ever_in_the_trail(audited: Platform) -> None:
    # All that the process knows; whatever looks like a secret is masked without being known.
    known = ("database-password", "state-key", "audit-key")
    secrets = [(audited.credentials / name).read_text().strip() for name in known]
    token = audited.issuer.token()
    async with audited.client(token) as client:
        for secret in (*secrets, token):
            said = {
                "title": secret,
                "elements": [{"type": "text", "text": f"x {secret}"}],
                "password": secret,
            }
            await client.call_tool("create_composition", {"lesson": said, "api_key": secret})
            await client.call_tool("search_compositions", {"text": secret})
        await client.call_tool("validate_lesson", {"lesson": LESSON})
    assert await asyncio.to_thread(awaited, audited, action="tool.validate_lesson")
    everything = await asyncio.to_thread(audited.sql, "select line from audit")
    for secret in (*secrets, token, token.split(".")[2], CANARY):
        assert secret not in everything
