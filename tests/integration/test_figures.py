"""Figures stay true with several processes, some of which die; and the pressure that they add up to."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from .support.installation import Platform
from .support.processes import Process

pytestmark = pytest.mark.anyio


async def page(platform: Platform) -> str:
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.get(f"http://127.0.0.1:{platform.port}/metrics")
        return answer.raise_for_status().text


def figure(page: str, name: str) -> float:
    """Return a sample by its name and labels; 0 if there is none."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def pressure(platform: Platform) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.get(f"http://127.0.0.1:{platform.port}/pressure")
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


def start_worker(platform: Platform) -> Process:
    command = [sys.executable, "-m", "tests.integration.support.gauging_worker"]
    places = {"TAME_FOLDER": str(platform.tame), "PYTHONPATH": str(Path(__file__).parents[2])}
    return platform.start(
        [*command, str(platform.config), str(platform.credentials)], "worker.ready", **places
    )


async def test_what_a_killed_worker_counted_stays_and_what_it_did_at_the_time_goes(
    platform: Platform,
) -> None:
    platform.configure(web={"workers": 2})
    platform.start_web()
    worker = start_worker(platform)
    async with platform.client() as client:
        for _ in range(20):
            assert not (await client.call_tool("get_composition", {"uid": "sit-0001"})).is_error
        made = await client.call_tool("create_composition", {"lesson": LESSON, "idempotency_key": "k" * 16})
        assert not made.is_error
        await client.call_tool("create_composition", {"lesson": LESSON, "idempotency_key": "k" * 16})
    before = await page(platform)
    assert figure(before, "composer_browser_capacity") == 2
    assert figure(before, "composer_browser_contexts") == 1
    assert (await pressure(platform))["browsers"] == {"in_use": 1, "capacity": 2}
    worker.kill()
    await anyio.sleep(1.1)
    for _ in range(5):
        after = await page(platform)
        assert figure(after, "composer_browser_capacity") == figure(after, "composer_browser_contexts") == 0
        done = 'composer_jobs_total{kind="get_composition",outcome="succeeded"}'
        assert figure(after, done) == figure(before, done) == 20
        assert figure(after, 'composer_tool_calls_total{outcome="succeeded",tool="get_composition"}') == 20
        # The second call found what the first had made.
        assert figure(after, 'composer_compositions_created_total{kind="create_composition"}') == 1
    assert (await pressure(platform))["browsers"] == {"in_use": 0, "capacity": 0}


async def test_what_waits_is_shown_with_its_age_and_a_stream_is_not_a_slow_request(
    platform: Platform,
) -> None:
    platform.start_web()
    async with platform.client() as client:
        async with client.listen(resources_list_changed=True):
            await anyio.sleep(2)
        streams = figure(await page(platform), "composer_http_stream_seconds_count")
        deadline = time.monotonic() + 20
        while not streams:
            assert time.monotonic() < deadline
            await anyio.sleep(0.2)
            streams = figure(await page(platform), "composer_http_stream_seconds_count")
    assert streams == 1
    now = await page(platform)
    requests = re.findall(r'^composer_http_requests_total{[^}]*path="/mcp"[^}]*} (\S+)$', now, re.MULTILINE)
    timed = figure(now, 'composer_http_request_seconds_count{path="/mcp"}')
    assert sum(map(float, requests)) == timed + streams
    platform.sql(
        "insert into job (tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag,"
        " priority, correlation_id, deadline, created_at, updated_at) values ('school', 'old',"
        " 'get_composition', '{}', 'x', 1, 1, 1, 'c', now(), now() - interval '1 hour',"
        " now() - interval '100 seconds')"
    )
    await anyio.sleep(1.1)
    now = await page(platform)
    assert figure(now, 'composer_queue_jobs{state="queued"}') == 1
    assert 100 <= figure(now, "composer_queue_oldest_seconds") < 200
    assert 0 < figure(now, "composer_database_seconds") < 2
    found = await pressure(platform)
    assert found["queue"]["queued"] == 1 and found["queue"]["oldest_seconds"] >= 100
    assert found["pressure"] > 50 and 1 <= found["weight"] <= 100


LESSON = {
    "title": "Counted",
    "subject": "science",
    "grade": "7º ano",
    "elements": [{"type": "heading", "title": "Counted"}, {"type": "text", "text": "A água evapora."}],
}
