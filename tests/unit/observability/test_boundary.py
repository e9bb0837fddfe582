"""Attacks on everything that leaves a process: whatever carries a secret there, it does not get out.

The ways in are those of a real server: a text, a nested field, the name of a field, an exception with its
causes and notes, what a library prints. The ways out are the log, the fields of the journal, traces, error
reports, labels of metrics, and what callers are told.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from composer_mcp.errors import COMPOSER_REFUSED, ComposerError
from composer_mcp.mcp import results
from composer_mcp.observability import logs, masking, metrics, reports
from composer_mcp.observability.access import AccessLog
from composer_mcp.observability.journal import Journal
from composer_mcp.observability.reports import Reporter
from composer_mcp.observability.settings import ReportsSettings
from composer_mcp.observability.trace_export import Discreet
from composer_mcp.settings import LogSettings

#: Ours, which the process knows; a caller's, known by its look; a child's words, which nothing knows.
OURS = jwt.encode({"email": "service@composer.example", "n": "canary" * 60}, "k" * 64)
PASSWORD = "correct-horse-battery-canary"
CALLERS = jwt.encode({"sub": "teacher", "n": "x" * 40}, "y" * 64)
WORDS = "the-words-of-a-child-in-a-lesson"
RECEIVER = "https://key@errors.example/1"
SECRETS = (OURS, OURS[:200], OURS[-200:], PASSWORD, CALLERS)


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    before = set(masking._values), set(masking._pieces)
    for secret in (OURS, PASSWORD):
        masking.hide(secret)
    yield
    masking._values.clear()
    masking._pieces.clear()
    masking._values.update(before[0])
    masking._pieces.update(before[1])
    masking._redacted.cache_clear()


class Everything:
    """All ways out of one process, with what came out."""

    def __init__(self, stream: io.StringIO, journal: socket.socket, sent: list[dict[str, Any]]) -> None:
        self._stream = stream
        self._journal = journal
        self.reports = sent

    @property
    def journal(self) -> str:
        """What reached the journal."""
        entries = []
        while True:
            try:
                entries.append(self._journal.recv(1_000_000).decode(errors="replace"))
            except BlockingIOError:
                return "\n".join(entries)

    @property
    def log(self) -> str:
        """What reached standard error."""
        return self._stream.getvalue()


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Everything]:
    stream, sent = io.StringIO(), []
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(LogSettings(level="debug"))
    client = reports.discreet_client(RECEIVER, ReportsSettings(enabled=True), transport=Kept(sent))
    logs.report_to(Reporter(client, "tests", 1000).line)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        journal.setblocking(False)
        both = Both(Journal(tmp_path / "journal"))
        monkeypatch.setattr(logs._output, "journal", both)
        yield Everything(stream, journal, sent)
    logs.report_to(None)
    logging.getLogger().handlers[:] = []
    structlog.reset_defaults()
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


class Both:
    """Sends to the journal and has the line written to standard error as well."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def send(self, message: str, facts: Any, level: str) -> bool:
        self._journal.send(message, facts, level)
        return False

    def close(self) -> None:
        self._journal.close()


class Kept(Transport):
    """Keeps the reports that would be sent."""

    def __init__(self, reports: list[dict[str, Any]]) -> None:
        super().__init__()
        self._reports = reports

    def capture_envelope(self, envelope: Envelope) -> None:
        self._reports.append(json.loads(envelope.items[0].payload.get_bytes()))


class Opaque:
    """Shows what it holds."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return f"<Opaque {self.secret}>"


def raised(secret: str) -> BaseException:
    """An exception as libraries raise them: with causes, notes, a group, and what it was about in hand."""
    local_variable = Opaque(secret)
    try:
        try:
            raise KeyError(f"https://x.test/?access_token={secret}")
        except KeyError as cause:
            cause.add_note(f"sent Authorization: Bearer {secret}")
            raise ExceptionGroup(secret, [cause, ValueError(repr(local_variable))]) from cause
    except ExceptionGroup as group:
        return group


def in_structlog(secret: str) -> None:
    structlog.get_logger("boundary").error(
        f"failed with {secret}", exc_info=raised(secret), tenant=secret, tool=secret, kind=secret,
        job_id=secret, outcome=secret, nested={"headers": [("authorization", secret)], secret: 1},
        data=secret.encode(), thing=Opaque(secret),
    )  # fmt: skip


def in_a_library(secret: str) -> None:
    logging.getLogger("library").error("it said %s and %r", secret, Opaque(secret), exc_info=raised(secret))


def in_what_nobody_caught(secret: str) -> None:
    error = raised(secret)
    sys.excepthook(type(error), error, error.__traceback__)


def in_a_thread(secret: str) -> None:
    def fail() -> None:
        raise raised(secret)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join(10)


WAYS_IN: dict[str, Callable[[str], None]] = {
    "our own line": in_structlog,
    "a line of a library": in_a_library,
    "what nobody caught": in_what_nobody_caught,
    "what ended a thread": in_a_thread,
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_neither_log_nor_journal_nor_report_shows_a_secret(out: Everything, way: str) -> None:
    for secret in SECRETS:
        WAYS_IN[way](secret)
    written, entries, reported = out.log, out.journal, json.dumps(out.reports, default=str)
    assert "ExceptionGroup" in written and "ExceptionGroup" in entries and "ExceptionGroup" in reported
    for secret in SECRETS:
        for place, text in (("log", written), ("journal", entries), ("report", reported)):
            assert secret not in text, place
            assert secret[:40] not in "".join(text.split()), place


@pytest.mark.parametrize("way", WAYS_IN)
def test_a_report_holds_nobodys_words_variables_or_lines_of_code(out: Everything, way: str) -> None:
    structlog.contextvars.bind_contextvars(correlation_id="boundary-0001")
    if way == "our own line":
        structlog.get_logger("boundary").error("job.crashed", exc_info=raised(WORDS), note=WORDS)
    else:
        WAYS_IN[way](WORDS)
    structlog.contextvars.clear_contextvars()
    (report,) = out.reports
    text = json.dumps(report, default=str)
    assert WORDS not in text and "local_variable" not in text and "access_token" not in text
    assert "breadcrumbs" not in report and "request" not in report and "modules" not in report
    frames = [
        frame for value in report["exception"]["values"] for frame in value["stacktrace"].get("frames", ())
    ]
    assert frames and all(set(frame) <= set(reports.FRAME) for frame in frames)
    assert {value["type"] for value in report["exception"]["values"]} >= {"ExceptionGroup", "KeyError"}


def test_what_happens_often_is_reported_rarely(out: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    client = reports.discreet_client(RECEIVER, ReportsSettings(enabled=True), transport=Kept(out.reports))
    reporter = Reporter(client, "tests", per_minute=20)
    monkeypatch.setattr(reports.time, "monotonic", lambda: 600.0)
    for number in range(500):
        reporter.line("a", "error", {"event": "the same"})
        reporter.line("a", "error", {"event": f"another {number}"})
        reporter.line("urllib3.connectionpool", "error", {"event": "about sending"})
    assert len(out.reports) == 20
    assert [report["message"] for report in out.reports].count("the same") == 2
    monkeypatch.setattr(reports.time, "monotonic", lambda: 660.0)
    reporter.line("a", "error", {"event": "the same"})
    assert len(out.reports) == 21


class Collected(SpanExporter):
    """Shows what a collector would be sent."""

    def __init__(self) -> None:
        self.memory = InMemorySpanExporter()

    def export(self, spans: Any) -> SpanExportResult:
        return self.memory.export(spans)

    def shutdown(self) -> None:
        self.memory.shutdown()


def test_a_trace_holds_neither_secrets_nor_what_callers_and_exceptions_say() -> None:
    collected = Collected()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Discreet(collected)))
    for secret in (*SECRETS, WORDS):
        # As the SDK makes them, of whatever a caller sends.
        tracer = provider.get_tracer("mcp-python-sdk")
        with tracer.start_as_current_span(f"{secret} {secret}", attributes={secret: secret}) as span:
            for name in ("mcp.method.name", "gen_ai.tool.name", "gen_ai.prompt.name", "mcp.protocol.version",
                         "jsonrpc.request.id", "error.type", "rpc.response.status_code"):  # fmt: skip
                span.set_attribute(name, f"{secret} {secret}")
            span.record_exception(raised(secret))
            span.set_status(trace.StatusCode.ERROR, secret)
        with tracer.start_as_current_span(f"tools/call {secret}"):
            pass
        # Ours: no text of a caller belongs there, but a secret must not get through even so.
        if secret != WORDS:
            ours = provider.get_tracer("composer_mcp")
            with ours.start_as_current_span(f"job {secret}", attributes={"composer.tenant": secret}):
                pass
    spans = collected.memory.get_finished_spans()
    text = "\n".join(span.to_json() for span in spans)
    assert len(spans) == 2 * len(SECRETS) + 2 + len(SECRETS)
    for secret in (*SECRETS, WORDS):
        assert secret not in text and secret[:40] not in text
    assert {span.name for span in spans if "other" in span.name or "tools" in span.name} == {
        "other", "tools/call"
    }  # fmt: skip
    assert not any(span.events or span.links or span.status.description for span in spans)


@pytest.mark.anyio
async def test_no_label_of_a_metric_is_chosen_by_a_caller() -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ignore(*_: Any) -> None:
        return None

    access = AccessLog(app, require_tls=False)
    for secret in (PASSWORD, CALLERS, WORDS):
        for path in (f"/{secret}", f"/mcp/{secret}", f"/admin/{secret}", f"/health/live/{secret}"):
            scope = {"type": "http", "method": secret, "path": path, "headers": [], "scheme": "http"}
            await access(scope, ignore, ignore)
    page = generate_latest(metrics.REGISTRY).decode()
    assert 'path="other"' in page and 'method="other"' in page
    assert not any(secret in page for secret in (PASSWORD, CALLERS, WORDS))


@pytest.mark.parametrize("secret", [OURS, PASSWORD, CALLERS])
def test_what_a_caller_is_told_of_an_error_holds_no_secret(secret: str) -> None:
    error = ComposerError(
        COMPOSER_REFUSED,
        {"what": secret, "said": f"Bearer {secret}", "problems": [{"path": secret, "given": secret}]},
    )
    told = results.failure(error).model_dump_json()
    assert secret not in told and masking.MASK in told
