"""What an operator does: migrate, check, drain, stop, read metrics and logs."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import anyio
import httpx
import pytest

from .support.authority import Authority
from .support.installation import CLI, Platform
from .support.processes import free_port
from .test_jobs import call_in_background


def run(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        platform.command(*arguments), capture_output=True, text=True, timeout=90, check=False
    )


def test_a_second_migration_changes_nothing(platform: Platform) -> None:
    again = json.loads(run(platform, "migrate", "--json").stdout)
    assert again == {"changed": False, "version": again["version"], "steps": []}


def test_the_application_role_cannot_change_the_schema(platform: Platform) -> None:
    rights = platform.sql(
        "select has_schema_privilege('composer', 'public', 'create'), "
        "has_table_privilege('composer', 'schema_version', 'update'), "
        "has_table_privilege('composer', 'job', 'truncate')"
    )
    assert rights == "f|f|f"


def test_an_edited_migration_is_refused(platform: Platform) -> None:
    platform.sql("update schema_version set checksum = 'x'")
    refused = run(platform, "migrate")
    assert refused.returncode == 2 and "edited" in refused.stderr


def test_an_unknown_key_stops_every_command_with_its_name(platform: Platform) -> None:
    platform.configure(wrker={"concurrency": 2})
    for command in ("serve", "worker", "migrate", "check"):
        refused = run(platform, command)
        assert refused.returncode == 2
        assert "wrker: unknown key" in refused.stderr and "Traceback" not in refused.stderr


def test_check_reports_each_dependency_and_the_remedy(platform: Platform) -> None:
    (platform.credentials / "database-password").write_text("wrong-password-here")
    findings = json.loads(run(platform, "check", "--json").stdout)
    by_name = {finding["name"]: finding for finding in findings["checks"]}
    assert not findings["ok"]
    assert not by_name["database"]["ok"] and "database-password" in by_name["database"]["remedy"]
    assert by_name["object store"]["ok"]
    assert by_name[f"issuer {platform.issuer.url}"]["ok"]
    assert "wrong-password-here" not in json.dumps(findings)


def test_the_database_is_found_among_several_hosts_and_must_prove_its_name(platform: Platform) -> None:
    def finding() -> dict[str, Any]:
        answer = json.loads(run(platform, "check", "--json").stdout)
        return next(each for each in answer["checks"] if each["name"] == "database")

    here, nobody = f"localhost:{platform.postgres.port}", f"localhost:{free_port()}"
    platform.configure(database={"hosts": [nobody, here]})
    assert finding()["ok"]
    stranger = Authority(platform.folder / "stranger").certificate
    platform.configure(database={"hosts": [here], "authority": stranger})
    refused = finding()
    assert not refused["ok"] and "certificate verify failed" in refused["detail"]
    assert "database.authority" in refused["remedy"]


def test_readiness_names_its_reasons(platform: Platform) -> None:
    web = platform.start_web()
    base = f"http://127.0.0.1:{platform.port}"
    assert httpx.get(f"{base}/health/ready").json() == {"ready": True, "reasons": [], "slot": "blue"}
    subprocess.run([*CLI, "drain", "--wait", "0", "--config", str(platform.config)], check=True, timeout=30)
    draining = httpx.get(f"{base}/health/ready")
    assert draining.status_code == 503 and "draining" in draining.json()["reasons"][0]
    assert httpx.get(f"{base}/health/live").status_code == 200
    web.stop()
    # A new start is a new decision: the mark of the last stop does not keep it out.
    platform.start_web()
    platform.sql("delete from schema_version")
    behind = httpx.get(f"{base}/health/ready")
    assert behind.status_code == 503 and "composer-mcp migrate" in behind.json()["reasons"][0]


@pytest.mark.anyio
async def test_a_stop_lets_calls_under_way_finish(platform: Platform) -> None:
    web = platform.start_web()
    worker = platform.start_tame_worker()
    uid = platform.hold("underway")
    results: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(call_in_background, platform, results, uid)
        await anyio.to_thread.run_sync(worker.wait_for, "tame.begun")
        web.signal(signal.SIGTERM)
        await anyio.to_thread.run_sync(web.wait_for, "Worker shutting down")
        platform.release("underway")
        assert await anyio.to_thread.run_sync(web.wait) == 0, web.output
    assert results and not results[0].is_error


@pytest.mark.anyio
async def test_metrics_of_web_and_workers_are_on_one_page(platform: Platform) -> None:
    platform.configure(metrics={"directory": platform.folder / "metrics"})
    platform.start_web()
    platform.start_tame_worker()
    async with platform.client() as client:
        await client.call_tool("get_composition", {"uid": "sit-0001"})
        await client.call_tool("get_composition", {"uid": "fail-internal"})
    async with httpx.AsyncClient() as http:
        page = (await http.get(f"http://127.0.0.1:{platform.port}/metrics")).text
    for sample in (
        'composer_tool_calls_total{outcome="succeeded",tool="get_composition"} 1.0',
        'composer_tool_calls_total{outcome="internal",tool="get_composition"} 1.0',
        'composer_jobs_total{kind="get_composition",outcome="succeeded"} 1.0',
        'composer_jobs_total{kind="get_composition",outcome="internal"} 1.0',
        'composer_queue_jobs{state="queued"} 0.0',
    ):
        assert sample in page, page


@pytest.mark.anyio
async def test_a_correlation_id_ties_the_lines_of_web_and_worker(platform: Platform) -> None:
    web = platform.start_web()
    worker = platform.start_tame_worker()
    token = platform.issuer.token()
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "get_composition", "arguments": {"uid": "sit-0001"}},
    }
    async with httpx.AsyncClient(timeout=30) as http:
        answer = await http.post(
            platform.url + "?access_token=abcdefgh12345678",
            json=body,
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": "application/json, text/event-stream",
                "X-Correlation-Id": "from-the-edge-1",
            },
        )
    assert answer.headers["X-Correlation-Id"] == "from-the-edge-1"
    await anyio.to_thread.run_sync(worker.wait_for, "job.finished")
    await anyio.to_thread.run_sync(web.wait_for, "http.request")
    for process, event in ((web, "http.request"), (worker, "job.finished")):
        line = next(json.loads(text) for text in process.output.splitlines() if event in text)
        assert line["correlation_id"] == "from-the-edge-1" and line["tenant"] == "school"
        assert token not in process.output and "abcdefgh12345678" not in process.output
