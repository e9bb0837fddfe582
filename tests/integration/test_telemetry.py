"""Traces and error reports reach their receivers, and take nothing along that is nobody's business."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest

from .support.installation import Platform
from .support.processes import Process, free_port
from .support.receivers import Receiver, Span

pytestmark = pytest.mark.anyio

DOCUMENT_TEXT = "Canary-Text-Of-A-Child"
SECRET = "canary-of-the-collector-4711"
REPORT_KEY = "canaryc0ffee4711c0ffee4711c0ffee"


@pytest.fixture
def collector() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def errors() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def configure(platform: Platform, collector: int, errors: int, **traces: Any) -> None:
    (platform.credentials / "traces-authorization").write_text(f"Bearer {SECRET}")
    (platform.credentials / "error-reports-dsn").write_text(f"http://{REPORT_KEY}@127.0.0.1:{errors}/7")
    endpoint = f"http://127.0.0.1:{collector}/v1/traces"
    platform.configure(
        traces={"endpoint": endpoint, "authorization": True, "sample": 1.0} | traces,
        reports={"enabled": True, "environment": "tests"},
    )


async def call(
    platform: Platform, uid: str, *, tool: str = "get_composition", method: str = "tools/call", **headers: str
) -> httpx.Response:
    body = {
        "jsonrpc": "2.0", "id": DOCUMENT_TEXT, "method": method,
        "params": {"name": tool, "arguments": {"uid": uid}},
    }  # fmt: skip
    sent = {
        "Authorization": f"Bearer {platform.issuer.token()}",
        "Accept": "application/json, text/event-stream",
    }
    async with httpx.AsyncClient(timeout=60) as http:
        return await http.post(f"{platform.url}?access_token={SECRET}", json=body, headers=sent | headers)


def chain(spans: list[Span], last: Span) -> list[str]:
    """Return the names from a span up to the one that has no parent."""
    by_id = {span.span_id: span for span in spans}
    names = [last.name]
    while last.parent_id:
        last = by_id[last.parent_id]
        names.append(last.name)
    return names


async def test_one_trace_leads_from_the_web_through_the_job_to_the_worker(
    platform: Platform, collector: Receiver, errors: Receiver
) -> None:
    configure(platform, collector.port, errors.port)
    web, worker = platform.start_web(), platform.start_tame_worker()
    assert (await call(platform, "sit-0001", **{"X-Correlation-Id": "traced-call-1"})).status_code == 200
    await anyio.to_thread.run_sync(
        lambda: collector.wait_until(
            lambda: {"composer-web", "composer-worker"} <= {span.service for span in collector.spans}
        )
    )
    spans = collector.spans
    (job,) = [span for span in spans if span.name == "job get_composition"]
    assert chain(spans, job) == ["job get_composition", "tools/call get_composition", "POST /mcp"]
    assert len({span.trace_id for span in spans}) == 1
    assert job.attributes["composer.correlation_id"] == "traced-call-1"
    assert job.attributes["composer.outcome"] == "succeeded" and job.attributes["composer.tenant"] == "school"
    (request,) = [span for span in spans if span.name == "POST /mcp"]
    assert request.attributes["http.response.status_code"] == 200
    # The log leads to the trace, and what is stored with the job does not spoil the correlation id.
    for process in (web, worker):
        line = line_of(process, "http.request" if process is web else "job.finished")
        assert (line["trace_id"], line["correlation_id"]) == (job.trace_id, "traced-call-1")
    shown = json.loads(platform.run("jobs", "show", platform.sql("select id from job"), "--json"))
    assert "traced-call-1" in shown.values() and " 00-" not in json.dumps(shown)
    assert collector.received[0].headers["authorization"] == f"Bearer {SECRET}"


async def test_a_caller_names_the_trace_and_does_not_decide_that_it_is_recorded(
    platform: Platform, collector: Receiver, errors: Receiver
) -> None:
    configure(platform, collector.port, errors.port, sample=0.0)
    platform.start_web()
    platform.start_tame_worker()
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    async with platform.client() as client:
        for _ in range(5):
            await client.call_tool("get_composition", {"uid": "sit-0001"}, meta={"traceparent": traceparent})
    await call(platform, "sit-0001", traceparent=traceparent)
    assert platform.sql("select distinct correlation_id like '% %' from job") == "f"
    # A report is the sign that whatever was to be sent before it was sent.
    await call(platform, "crash-unforeseen")
    await anyio.to_thread.run_sync(lambda: errors.wait_until(lambda: bool(errors.reports)))
    await anyio.sleep(3)
    assert not collector.received


async def test_a_crash_is_reported_with_its_place_and_without_texts(
    platform: Platform, collector: Receiver, errors: Receiver
) -> None:
    configure(platform, collector.port, errors.port)
    platform.start_web()
    worker = platform.start_tame_worker()
    for _ in range(10):
        await call(platform, f"crash-{DOCUMENT_TEXT}", **{"X-Correlation-Id": "crashed-call-1"})
    await anyio.to_thread.run_sync(lambda: errors.wait_until(lambda: bool(errors.reports)))
    report = errors.reports[0]
    assert report["tags"]["correlation_id"] == "crashed-call-1"
    assert (report["message"], report["environment"]) == ("job.crashed", "tests")
    assert report["tags"]["service"] == "composer-worker" and report["tags"]["kind"] == "get_composition"
    (error,) = report["exception"]["values"]
    assert error["type"] == "RuntimeError"
    last = error["stacktrace"]["frames"][-1]
    assert last["function"] == "_handle" and last["lineno"] > 0
    assert set(last) <= {"filename", "module", "function", "lineno", "in_app"}
    await anyio.to_thread.run_sync(lambda: worker.wait_for("job.finished"))
    await anyio.sleep(3)
    # What happens again and again is reported a few times only.
    assert 1 <= len(errors.reports) <= 3


async def test_no_canary_gets_out(platform: Platform, collector: Receiver, errors: Receiver) -> None:
    configure(platform, collector.port, errors.port)
    web, worker = platform.start_web(), platform.start_tame_worker()
    token = platform.issuer.token()
    composers = (platform.credentials / "composer-token").read_text().strip()
    for uid in (f"crash-{DOCUMENT_TEXT}", f"crash-{token}", f"fail-{DOCUMENT_TEXT}", f"sit-{composers}"):
        await call(platform, uid)
    # Names of tools, prompts and methods are the caller's to choose.
    for name in (DOCUMENT_TEXT, f"get composition {DOCUMENT_TEXT} {token}"):
        await call(platform, "sit-0001", tool=name)
        await call(platform, "sit-0001", method=name)
        await call(platform, "sit-0001", tool=name, method="prompts/get")
    async with platform.client() as client:
        for arguments in (
            {"lesson": {"title": DOCUMENT_TEXT, "elements": [{"type": DOCUMENT_TEXT}]}},
            {"lesson": lesson(DOCUMENT_TEXT)},
        ):
            await client.call_tool("create_composition", arguments)
        for name in (DOCUMENT_TEXT, f"get composition {DOCUMENT_TEXT} {token}"):
            with pytest.raises(Exception, match=r".*"):
                await client.call_tool(name, {})
                raise RuntimeError("some wires answer, some raise")
    await anyio.to_thread.run_sync(
        lambda: collector.wait_until(
            lambda: sum(span.name.startswith("job ") for span in collector.spans) >= 3
        )
    )
    await anyio.to_thread.run_sync(lambda: errors.wait_until(lambda: bool(errors.reports)))
    web.stop()
    worker.stop()
    secrets = [(platform.credentials / name).read_text().strip() for name in SECRETS] + [token, SECRET]
    bodies = b"\n".join(each.body for each in (*collector.received, *errors.received))
    said = (web.output + worker.output).encode()
    for secret in secrets:
        assert secret.encode() not in bodies and secret.encode() not in said, secret[:12]
    assert DOCUMENT_TEXT.encode() not in collector.everything
    assert DOCUMENT_TEXT.encode() not in errors.everything
    # The keys by which we are let in go where they belong, and nowhere else.
    assert REPORT_KEY.encode() not in said and SECRET.encode() not in said
    assert REPORT_KEY.encode() not in collector.everything and SECRET.encode() not in errors.everything


async def test_receivers_that_are_away_or_silent_hold_up_nothing(platform: Platform) -> None:
    import socket

    with socket.socket() as silent:
        # It accepts connections, and says nothing for ever.
        silent.bind(("127.0.0.1", 0))
        silent.listen(128)
        configure(platform, silent.getsockname()[1], free_port())
        web, worker = platform.start_web(), platform.start_tame_worker()
        await call(platform, "sit-0001")
        began = time.monotonic()
        for number in range(30):
            uid = "crash-unforeseen" if number % 3 == 0 else "sit-0001"
            assert (await call(platform, uid)).status_code == 200
        assert time.monotonic() - began < 30
        began = time.monotonic()
        web.stop()
        worker.stop()
        assert time.monotonic() - began < 25


def test_what_is_missing_is_said_before_anything_is_started(platform: Platform) -> None:
    endpoint = "https://collector.example.org/v1/traces"
    bad = {"traces": {"endpoint": endpoint, "authorization": True}, "reports": {"enabled": True}}
    for secret, value, said in (
        ("traces-authorization", None, "traces-authorization is missing"),
        ("error-reports-dsn", None, "error-reports-dsn is missing"),
        ("error-reports-dsn", "https://errors.example.org/1", "no address of a receiver"),
        ("error-reports-dsn", "http://key4711key4711@errors.example.org/1", "must begin with https://"),
    ):
        section = secret.partition("-")[0].replace("error", "reports")
        platform.configure(**{section: bad[section]})
        if value is not None:
            (platform.credentials / secret).write_text(value)
        for command in ("serve", "worker"):
            plain = ["--plain-text"] if command == "serve" else []
            done = subprocess.run(
                platform.command(command, *plain), capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 2 and said in done.stderr, done.stderr
            assert "Traceback" not in done.stderr and "key4711key4711" not in done.stderr
    platform.configure(traces={"endpoint": "http://collector.example.org/v1/traces"})
    refused = subprocess.run(
        platform.command("worker"), capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode == 2 and "must begin with https://" in refused.stderr


async def test_by_default_nobody_is_told_anything(platform: Platform) -> None:
    web, worker = platform.start_web(), platform.start_tame_worker()
    await call(platform, "crash-unforeseen")
    for process in (web, worker):
        maps = await anyio.Path(f"/proc/{process.pid}/maps").read_text()
        threads = [
            (await (task / "comm").read_text()).strip()
            async for task in anyio.Path(f"/proc/{process.pid}/task").iterdir()
        ]
        assert "protobuf" not in maps and not any("Otel" in name or "sentry" in name for name in threads)
    assert platform.sql("select distinct correlation_id like '% %' from job") == "f"


SECRETS = (
    "database-password", "state-key", "composer-token", "composer-project-key", "error-reports-dsn",
)  # fmt: skip


def lesson(title: str) -> dict[str, Any]:
    return {
        "title": title, "subject": "science", "grade": "7º ano",
        "elements": [{"type": "heading", "title": title}, {"type": "text", "text": title}],
    }  # fmt: skip


def line_of(process: Process, event: str) -> dict[str, Any]:
    process.wait_for(f'"event": "{event}"')
    found: dict[str, Any] = next(
        json.loads(text) for text in process.output.splitlines() if f'"event": "{event}"' in text
    )
    return found
