"""What an operator changes applies in all processes within two seconds, and survives what they go through."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from .conftest import new_platform
from .support.alone import Alone
from .support.authority import Authority
from .support.installation import Platform, error_of
from .support.issuer import Issuer
from .support.postgres import Postgres
from .support.processes import Process, free_port, run

pytestmark = pytest.mark.anyio
WITHIN_SECONDS = 2.0
LESSON: dict[str, Any] = {"title": "Cells", "elements": [{"type": "text", "text": "Cells live."}]}


def line_with(process: Process, text: str) -> dict[str, Any]:
    """Return the first line of the log that holds a text."""
    line: dict[str, Any] = next(json.loads(each) for each in process.output.splitlines() if text in each)
    return line


@dataclass
class Site:
    """Two web processes, as on two hosts, and a worker."""

    platform: Platform
    webs: list[Process]
    ports: list[int]
    worker: Process

    def set(self, *pairs: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.platform.run("config", "set", *pairs, "--json"))
        return answer

    def unset(self, *keys: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.platform.run("config", "unset", *keys, "--json"))
        return answer

    def followed(self, version: int) -> list[float]:
        """Wait until each process has taken a version over; return how many seconds that took each."""
        changed_at = float(
            self.platform.sql("select max(extract(epoch from changed_at)) from runtime_setting")
        )
        told = []
        for process in [*self.webs, self.worker]:
            process.wait_for(f'"version": {version}, "settings"', 30)
            line = line_with(process, f'"version": {version}, "settings"')
            told.append(datetime.fromisoformat(line["timestamp"]).timestamp() - changed_at)
        return told

    async def call(self, web: int, uid: str) -> Any:
        self.platform.port = self.ports[web]
        async with self.platform.client() as client:
            return await client.call_tool("get_composition", {"uid": uid})

    async def create(self, web: int, key: str) -> Any:
        self.platform.port = self.ports[web]
        async with self.platform.client() as client:
            call = {"lesson": LESSON, "idempotency_key": key}
            return await client.call_tool("create_composition", call)


@pytest.fixture
def site(tmp_path: Path, postgres: Postgres, issuer: Issuer, authority: Authority) -> Iterator[Site]:
    with new_platform(tmp_path, postgres, issuer, authority) as platform:
        ports = [free_port(), free_port()]
        webs = []
        for port in ports:
            platform.port = port
            platform.configure()
            webs.append(platform.start_web())
        yield Site(platform, webs, ports, platform.start_tame_worker())


async def test_new_jobs_are_refused_everywhere_and_then_taken_again(site: Site) -> None:
    assert not (await site.create(0, "key-before")).is_error
    changed = site.set("intake.mode", "refuse", "intake.reason", "Maintenance until 18:00.")
    seconds = site.followed(changed["version"])
    assert max(seconds) < WITHIN_SECONDS
    for web in (0, 1):
        refused = error_of(await site.call(web, "sit-0002"))
        assert refused["code"] == "intake_closed" and refused["retryable"]
        assert "Maintenance until 18:00." in refused["message"] and "60 s" in refused["remedy"]
        again = await site.create(web, "key-before")
        assert not again.is_error, "what was accepted before is told as ever"
    site.followed(site.unset("intake.mode", "intake.reason")["version"])
    for web in (0, 1):
        assert not (await site.call(web, "sit-0003")).is_error


async def test_the_admin_api_shows_and_changes_what_the_command_does(site: Site) -> None:
    platform = site.platform
    platform.run("user", "add", "ops", "--role", "operator", "--tenant", "school", "--subject", "operator")
    token = platform.issuer.token(sub="operator", scope="jobs:read config:manage")

    async def ask(web: int, method: str, path: str = "", **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{site.ports[web]}/admin/v1/settings{path}"
        async with httpx.AsyncClient(headers=headers, timeout=30) as http:
            return await http.request(method, url, **options)

    listed = (await ask(0, "GET")).json()
    names = {each["name"]: each for each in listed["settings"]}
    assert listed["version"] == 0 and names["queue.total_limit"]["source"] == "default"
    change = {"version": 0, "set": {"queue.total_limit": 44, "log.level": "warning"}}
    changed = await ask(0, "PATCH", json=change)
    assert changed.status_code == 200 and changed.json()["version"] == 1
    site.followed(1)
    async with httpx.AsyncClient(timeout=30) as http:
        page = (await http.get(f"http://127.0.0.1:{site.ports[1]}/metrics")).text
    told = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    # What only starts others, and what does not follow, says nothing: its zero would be the lowest of all.
    assert told["composer_settings_version"] == "1.0"
    assert float(told['composer_access_known_timestamp_seconds{part="web"}']) > time.time() - 300
    shown = (await ask(1, "GET", "/queue.total_limit")).json()
    assert (shown["value"], shown["source"]) == (44, "runtime")
    assert shown["changed_by"].endswith(" operator")
    assert json.loads(platform.run("config", "get", "queue.total_limit", "--json"))["value"] == 44
    refused = {
        "settings_changed": change,
        "setting_invalid": {"set": {"queue.total_limit": -1}},
        "setting_fixed": {"set": {"web.workers": 3}},
        "setting_unknown": {"unset": ["queue.limit"]},
        "invalid_request": {"set": {"log.level": "info"}, "unset": ["log.level"]},
    }
    for code, body in refused.items():
        answer = await ask(1, "PATCH", json=body)
        assert answer.json()["code"] == code and answer.status_code >= 400
    assert (await ask(1, "GET", "/queue.limit")).status_code == 404
    token = platform.issuer.token(scope="jobs:read config:manage")
    assert (await ask(0, "GET")).status_code == 403, "a teacher is no operator, whatever the token says"


async def test_bounds_of_the_queue_change_while_it_is_used(site: Site) -> None:
    site.followed(site.set("queue.per_tenant_limit", "1", "worker.interactive_slots", "1")["version"])
    uid = site.platform.hold("gate")
    async with anyio.create_task_group() as group:
        for number in range(2):
            group.start_soon(site.call, 0, uid)
            await _until(site.platform, "select count(*) from job where state = 'running'", str(number + 1))
        group.start_soon(site.call, 0, "sit-0001")
        await _until(site.platform, "select count(*) from job where state = 'queued'", "1")
        refused = error_of(await site.call(1, "sit-0002"))
        site.platform.release("gate", 2)
    assert refused["code"] == "queue_full" and refused["details"]["limit"] == 1


async def test_the_log_says_more_or_less_from_one_moment_to_the_next(site: Site) -> None:
    site.followed(site.set("log.level", "error")["version"])
    for process in [*site.webs, site.worker]:
        process.forget_output()
    assert not (await site.call(1, "sit-0001")).is_error
    assert "tame.begun" not in site.worker.output and '"path"' not in site.webs[1].output
    site.followed(site.unset("log.level")["version"])
    assert not (await site.call(1, "sit-0001")).is_error
    site.worker.wait_for("tame.begun", 20)


async def test_a_change_whose_announcement_is_lost_is_found(site: Site) -> None:
    # As after a fail-over: the row is there, nobody was told.
    site.platform.sql(
        "insert into runtime_setting (key, value, version, changed_by) values "
        "('queue.total_limit', '5', 1, 'ana'); update runtime_version set version = 1"
    )
    assert max(site.followed(1)) < WITHIN_SECONDS


async def test_while_the_database_is_away_the_last_values_go_on(site: Site) -> None:
    site.followed(site.set("queue.total_limit", "77")["version"])
    postgres = site.platform.postgres
    postgres.stop()
    try:
        for process in [*site.webs, site.worker]:
            process.wait_for("runtime.store_away", 30)
        refused = run(
            [
                "/bin/sh",
                "-c",
                f"{' '.join(site.platform.command('config', 'set', 'log.level', 'debug'))}; echo $?",
            ]
        )
        assert refused.strip().endswith("1")
    finally:
        postgres.start()
    for process in [*site.webs, site.worker]:
        process.wait_for("runtime.store_back", 60)
        assert line_with(process, "runtime.store_back")["version"] == 1, "it has forgotten what was changed"
    site.followed(site.set("queue.total_limit", "78")["version"])


def test_a_server_that_runs_alone_follows_too(tmp_path: Path) -> None:
    composer = {"project_uid": "project", "connector_uid": "connector"}
    secrets = {"composer-token": "header.payload.signature", "composer-project-key": "0" * 32}
    alone = Alone(tmp_path, composer, {}, secrets)
    try:
        process = alone.serve()
        alone.run("config", "set", "queue.total_limit", "7")
        process.wait_for('"version": 1, "settings"', 30)
    finally:
        alone.stop()


async def _until(platform: Platform, query: str, answer: str) -> None:
    give_up = time.monotonic() + 20
    while platform.sql(query) != answer:
        assert time.monotonic() < give_up, f"{query} does not become {answer}"
        await anyio.sleep(0.05)
