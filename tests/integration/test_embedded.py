"""The server alone on a laptop: no database, no issuer, no second process; the same tools."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from .composer_fixtures import Chromium, Standin
from .support.alone import CLI, Alone
from .support.installation import error_of, text_of
from .support.processes import Process
from .support.waiting import eventually

pytestmark = pytest.mark.anyio

LESSON: dict[str, Any] = {
    "title": "Fotossíntese",
    "author": "Ana Lima",
    "subject": "science",
    "grade": "7º ano",
    "elements": [{"type": "text", "text": "As plantas produzem o próprio alimento."}],
}
PICTURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def alone(tmp_path: Path, standin: Standin, chromium: Chromium) -> Iterator[Alone]:
    settings = standin.settings().model_dump(exclude_unset=True)
    browser = chromium.settings().model_dump(exclude_unset=True)
    secrets = {"composer-token": standin.token, "composer-project-key": standin.project_key}
    server = Alone(tmp_path, settings, browser, secrets)
    yield server
    server.stop()


@pytest.fixture
async def no_orphans(chromium: Chromium) -> AsyncIterator[None]:
    """After the test no browser is left."""
    yield
    assert await gone(chromium) == []


async def gone(chromium: Chromium, seconds: float = 10) -> list[int]:
    """Wait for the end of all browsers; return those that stay."""
    give_up = time.monotonic() + seconds
    while left := await anyio.to_thread.run_sync(chromium.processes):
        if time.monotonic() > give_up:
            break
        await anyio.sleep(0.05)
    return left


def ended(process: int, seconds: float = 10) -> bool:
    """Wait for the end of a process that is not our child."""
    give_up = time.monotonic() + seconds
    while Path(f"/proc/{process}").exists():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_client_starts_it_and_sees_what_it_made(
    no_orphans: None, alone: Alone, standin: Standin, chromium: Chromium, mode: str
) -> None:
    title = f"Sozinho {mode} {alone.port}"
    async with alone.stdio(mode) as client:
        assert "preview_composition" in {tool.name for tool in (await client.list_tools()).tools}
        made = await client.call_tool("create_composition", {"lesson": LESSON | {"title": title}})
        assert not made.is_error, text_of(made)
        assert chromium.processes() == [], "a browser was started before any job needed one"
        preview = await client.call_tool("preview_composition", {"uid": made.structured_content["uid"]})
        assert not preview.is_error, text_of(preview)
        assert len(chromium.processes()) == 1
    picture = base64.b64decode(next(part.data for part in preview.content if part.type == "image"))
    assert picture.startswith(PICTURE)
    assert [each["uid"] for each in standin.compositions(title)] == [made.structured_content["uid"]]
    assert "stdio.ending" in alone.log.read_text()


async def test_what_was_done_is_known_after_a_restart(alone: Alone, standin: Standin) -> None:
    call = {"lesson": LESSON | {"title": f"Uma vez {alone.port}"}, "idempotency_key": "lesson-0001"}
    async with alone.stdio() as client:
        first = (await client.call_tool("create_composition", call)).structured_content
    async with alone.stdio() as client:
        again = (await client.call_tool("create_composition", call)).structured_content
    assert (again["uid"], again["created"]) == (first["uid"], False)
    assert len(standin.compositions(call["lesson"]["title"])) == 1


async def call_in_vain(alone: Alone, token: str, tool: str, arguments: dict[str, Any]) -> None:
    """Make a call whose server ends before it answers; the client says so, in whatever way."""
    with contextlib.suppress(Exception):
        async with alone.http(token) as client:
            await client.call_tool(tool, arguments)


async def test_killed_in_the_middle_of_a_job_it_finishes_it_once_at_the_next_start(
    alone: Alone, standin: Standin
) -> None:
    title = f"Depois da queda {alone.port}"
    call = {"lesson": LESSON | {"title": title}, "idempotency_key": "lesson-0002"}
    # It is saved, but the server is killed before it hears of it.
    standin.provoke("create", action="none", latency=20, after_saving=True, times=1)
    server = alone.serve()
    token = alone.run("token").strip()
    async with anyio.create_task_group() as group:
        group.start_soon(call_in_vain, alone, token, "create_composition", call)
        await eventually(lambda: standin.compositions(title))
        server.kill()
    restarted = alone.serve()
    restarted.wait_for('"outcome": "succeeded"')
    async with alone.http(token) as client:
        made = (await client.call_tool("create_composition", call)).structured_content
    assert [each["uid"] for each in standin.compositions(title)] == [made["uid"]]
    assert "engine.continued" in restarted.output


async def test_killed_with_an_open_browser_it_leaves_none_behind(
    no_orphans: None, alone: Alone, chromium: Chromium
) -> None:
    server = alone.serve()
    async with alone.http(alone.run("token").strip()) as client:
        made = (await client.call_tool("create_composition", {"lesson": LESSON})).structured_content
        await client.call_tool("preview_composition", {"uid": made["uid"]})
    assert len(chromium.processes()) == 1
    server.kill()


async def test_a_client_that_dies_takes_server_and_browser_with_it(
    no_orphans: None, alone: Alone, chromium: Chromium
) -> None:
    with pytest.raises(ExceptionGroup):
        async with alone.stdio() as client:
            made = (await client.call_tool("create_composition", {"lesson": LESSON})).structured_content
            await client.call_tool("preview_composition", {"uid": made["uid"]})
            raise RuntimeError("the client crashes")
    assert await anyio.to_thread.run_sync(ended, alone.process)


async def test_told_to_end_while_it_works_it_ends_at_once_and_goes_on_later(
    no_orphans: None, alone: Alone, standin: Standin, chromium: Chromium
) -> None:
    # Whoever waits for the page waits for a minute.
    patient = standin.settings(editor_timeout_seconds=60).model_dump(exclude_unset=True)
    alone.configure(composer=patient, browser=chromium.settings().model_dump(exclude_unset=True))
    server = alone.serve()
    token = alone.run("token").strip()
    async with alone.http(token) as client:
        made = (await client.call_tool("create_composition", {"lesson": LESSON})).structured_content
    standin.provoke("page", action="none", latency=60, times=1)
    server.forget_output()
    async with anyio.create_task_group() as group:
        group.start_soon(call_in_vain, alone, token, "preview_composition", {"uid": made["uid"]})
        await anyio.to_thread.run_sync(server.wait_for, "browser.launched")
        server.signal(signal.SIGTERM)
        assert await anyio.to_thread.run_sync(server.wait, 30) == 0
    standin.calm()
    alone.serve().wait_for('"outcome": "succeeded"')


async def test_two_processes_do_not_share_a_state_directory(alone: Alone) -> None:
    async with alone.stdio() as client:
        await client.list_tools()
        second = await anyio.to_thread.run_sync(said, alone, "serve", "--bind", f"127.0.0.1:{alone.port}")
        told = second.stderr.decode()
        assert second.returncode == 2 and f"in use by process {alone.process}" in told
        assert "Traceback" not in told
        made = await client.call_tool("create_composition", {"lesson": LESSON})
        assert not made.is_error


async def test_over_http_only_its_own_tokens_are_let_in(alone: Alone) -> None:
    server = alone.serve()
    reader = alone.run("token", "--scope", "compositions:read", "--minutes", "5").strip()
    async with httpx.AsyncClient(base_url=alone.url) as web:
        assert (await web.post("/mcp", json={})).status_code == 401
        assert (await web.get("/health/ready")).json()["ready"]
        metadata = (await web.get("/.well-known/oauth-protected-resource/mcp")).json()
        assert metadata["resource"] == f"{alone.url}/mcp" and metadata["authorization_servers"] == []
        assert "composer_queue_jobs" in (await web.get("/metrics")).text
        foreign = await web.post(
            "/mcp", json={}, headers={"Host": "evil.test", "Authorization": f"Bearer {reader}"}
        )
        assert foreign.status_code == 421
    async with alone.http(reader) as client:
        assert "create_composition" not in {tool.name for tool in (await client.list_tools()).tools}
    for mode in ("legacy", "2026-07-28"):
        async with alone.http(alone.run("token").strip(), mode) as client:
            made = await client.call_tool("create_composition", {"lesson": LESSON})
            assert not made.is_error, text_of(made)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


async def test_what_one_way_in_made_the_other_one_knows(alone: Alone) -> None:
    async with alone.stdio() as client:
        call = {"lesson": LESSON, "idempotency_key": "lesson-0003"}
        made = (await client.call_tool("create_composition", call)).structured_content
    alone.serve()
    async with alone.http(alone.run("token").strip()) as client:
        again = (await client.call_tool("create_composition", call)).structured_content
    assert again["uid"] == made["uid"] and not again["created"]


async def test_an_error_is_the_same_as_everywhere(alone: Alone) -> None:
    async with alone.stdio() as client:
        error = error_of(await client.call_tool("create_composition", {"lesson": {"title": "x"}}))
    assert error["code"] and error["remedy"]


def said(alone: Alone, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, whatever end that is."""
    return subprocess.run(
        [CLI, *alone.arguments(*words)], input=given, capture_output=True, timeout=60, check=False
    )


def answers(alone: Alone, *lines: bytes) -> list[dict[str, Any]]:
    """What it says on standard output when these lines come in and then the end."""
    done = said(alone, "stdio", given=b"\n".join(lines) + b"\n")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


CLIENT = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
INITIALIZE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": CLIENT}).encode()


def test_nothing_but_the_protocol_is_on_standard_output(alone: Alone) -> None:
    (answer,) = answers(alone, INITIALIZE)
    assert answer["id"] == 1 and answer["result"]["serverInfo"]["name"] == "euconquisto-composer"


PING = b'{"jsonrpc":"2.0","id":2,"method":"ping"}'
TOO_LONG = json.dumps(
    {"jsonrpc": "2.0", "id": 3, "method": "ping", "params": {"x": "x" * 1_100_000}}
).encode()


@pytest.mark.parametrize(
    ("rubbish", "code"),
    [
        (PING[:-9], -32700),
        (PING.replace(b"ping", b"p\xffng"), -32700),
        (TOO_LONG, -32700),
        (b"[]", -32600),
        (b'{"id": 3}', -32600),
        (b"", None),
    ],
    ids=["cut off", "not UTF-8", "too long", "a list", "no message", "blank"],
)
def test_a_broken_line_is_answered_and_harms_nobody(alone: Alone, rubbish: bytes, code: int | None) -> None:
    said = answers(alone, INITIALIZE, rubbish, b'{"jsonrpc":"2.0","method":"notifications/initialized"}',
                   b'{"jsonrpc":"2.0","id":2,"method":"ping"}')  # fmt: skip
    assert {answer["id"] for answer in said if "result" in answer} == {1, 2}
    refused = [answer for answer in said if "error" in answer]
    assert [(each["id"], each["error"]["code"]) for each in refused] == (
        [] if code is None else [(None, code)]
    )


def test_a_message_cut_off_by_the_end_is_answered_too(alone: Alone) -> None:
    done = said(alone, "stdio", given=INITIALIZE + b"\n" + PING[:-9])
    (_, refused) = sorted(map(json.loads, done.stdout.splitlines()), key=lambda answer: "error" in answer)
    assert done.returncode == 0 and refused["error"]["code"] == -32700 and refused["id"] is None


QUEUE_FAILS = """
import pathlib, sys
from pgqueuer.adapters.inmemory.queries import InMemoryQueries
from composer_mcp import cli

dequeue = InMemoryQueries.dequeue

damaged = pathlib.Path(sys.argv.pop(1))

async def failing(self, *words, **named):
    if damaged.exists():
        raise IndexError("the queue is damaged")
    return await dequeue(self, *words, **named)

InMemoryQueries.dequeue = failing
cli.main()
"""


async def test_a_server_whose_queue_ends_says_so_and_another_one_goes_on(
    alone: Alone, standin: Standin, tmp_path: Path
) -> None:
    title = f"Depois da fila {alone.port}"
    damaged = tmp_path / "damaged"
    words = alone.arguments("serve", "--bind", f"127.0.0.1:{alone.port}")
    server = Process([sys.executable, "-c", QUEUE_FAILS, str(damaged), *words])
    try:
        server.wait_for("web.ready")
        damaged.touch()
        await call_in_vain(
            alone, alone.run("token").strip(), "create_composition", {"lesson": LESSON | {"title": title}}
        )
        assert await anyio.to_thread.run_sync(server.wait) == 1
        await anyio.to_thread.run_sync(server.wait_for, "kept, and done when it is started again")
        assert "engine.ended" in server.output and "the queue is damaged" in server.output
    finally:
        server.stop()
    assert standin.compositions(title) == []
    alone.serve().wait_for('"outcome": "succeeded"')
    assert len(standin.compositions(title)) == 1


def test_check_finds_what_it_needs_and_says_what_is_missing(alone: Alone) -> None:
    findings = json.loads(alone.run("check", "--json"))
    names = {finding["name"] for finding in findings["checks"]}
    assert findings["ok"] and {"state directory", "chromium", "composer api"} <= names
    alone.configure(composer={"project_uid": "p", "connector_uid": "c"}, browser={"executable": "/nowhere"})
    done = said(alone, "check")
    assert done.returncode == 1 and b"apt install chromium" in done.stdout


def test_check_finds_secrets_that_others_can_read(alone: Alone) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for secret in ("composer-token", "composer-project-key"):
            (folder / secret).write_bytes((alone.state / "credentials" / secret).read_bytes())
        told = said(alone, "check", "--credentials", name).stdout.decode()
        assert f"FAILED  credentials: other users of this machine can read {folder}/composer-token" in told
        assert f"chmod 600 {folder}/composer-token {folder}/composer-project-key" in told


def test_without_secrets_it_says_where_they_belong(alone: Alone) -> None:
    (alone.state / "credentials/composer-token").unlink()
    done = said(alone, "stdio")
    assert done.returncode == 2 and done.stdout == b""
    told = done.stderr.decode()
    assert f"composer-token is missing in {alone.state}/credentials" in told
    assert f"install -m 600 /dev/stdin {alone.state}/credentials/composer-token" in told
    assert "LoadCredential" not in told
