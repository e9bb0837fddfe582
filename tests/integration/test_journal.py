"""An operator finds every line of a call by its fields, in the journal of systemd itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from composer_mcp.observability.journal import Journal

from .support.installation import Platform
from .support.journald import Journald, under_systemd
from .support.processes import Process, free_port

SPEAKER = """
import sys
from pathlib import Path
import structlog
from composer_mcp.observability import logs
from composer_mcp.settings import LogSettings
logs.configure(LogSettings(journal_socket=Path(sys.argv[1])))
log = structlog.get_logger("speaker")
structlog.contextvars.bind_contextvars(correlation_id="speaker-0001")
log.info("first", tenant="school\\nPRIORITY=0\\nCOMPOSER_EVENT=forged", note="line\\nbreak")
log.warning("large", text="x" * 600_000)
log.info("middle", text="y" * 240_000)
log.error("last")
raise RuntimeError("unforeseen")
"""


@pytest.fixture(scope="module")
def journald() -> Iterator[Journald]:
    journal = Journald()
    yield journal
    journal.close()


def test_a_call_is_found_by_its_correlation_id_from_web_to_worker(
    platform: Platform, journald: Journald
) -> None:
    platform.configure(log={"journal_socket": journald.socket})
    serve = platform.command("serve", "--plain-text", "--bind", f"127.0.0.1:{platform.port}")
    web = platform.start(under_systemd(serve), "")
    worker = platform.start(under_systemd(platform.tame_worker_command()), "", TAME_FOLDER=str(platform.tame))
    journald.wait_for(f"COMPOSER_EVENT=ASGI server listening on http://127.0.0.1:{platform.port}")
    journald.wait_for("COMPOSER_EVENT=worker.ready")
    body = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "get_composition", "arguments": {"uid": "sit-0001"}},
    }  # fmt: skip
    headers = {
        "Authorization": f"Bearer {platform.issuer.token()}",
        "Accept": "application/json, text/event-stream",
        "X-Correlation-Id": "edge-journal-0001",
    }
    assert httpx.post(platform.url, json=body, headers=headers, timeout=60).status_code == 200
    call = "CORRELATION_ID=edge-journal-0001"
    request = journald.wait_for(call, "COMPOSER_EVENT=http.request")
    finished = journald.wait_for(call, "COMPOSER_EVENT=job.finished")
    assert (int(request["_PID"]) != web.pid, int(finished["_PID"]) == worker.pid) == (True, True)
    assert request["COMPOSER_TOOL"] == finished["COMPOSER_KIND"] == "get_composition"
    assert request["COMPOSER_TENANT"] == finished["COMPOSER_TENANT"] == "school"
    assert (request["COMPOSER_STATUS"], finished["COMPOSER_OUTCOME"]) == ("200", "succeeded")
    assert finished["PRIORITY"] == "6"
    assert finished["COMPOSER_JOB"] == json.loads(finished["MESSAGE"])["job_id"]
    assert json.loads(request["MESSAGE"])["seconds"] >= 0
    # Nothing is written twice: what is in the journal is not on standard error as well.
    assert "http.request" not in web.output and "job.finished" not in worker.output


def test_lines_of_any_size_arrive_and_none_can_forge_a_field(journald: Journald, tmp_path: Path) -> None:
    program = tmp_path / "speaker.py"
    program.write_text(SPEAKER)
    speaker = Process(under_systemd([sys.executable, str(program), str(journald.socket)]))
    assert speaker.wait(60) == 1, speaker.output
    journald.wait_for("COMPOSER_EVENT=process.uncaught")
    said = {entry.get("COMPOSER_EVENT"): entry for entry in journald.entries(f"_PID={speaker.pid}")}
    assert set(said) == {"first", "large", "middle", "last", "process.uncaught"}
    assert said["first"]["COMPOSER_TENANT"] == "school PRIORITY=0 COMPOSER_EVENT=forged"
    assert said["first"]["PRIORITY"] == "6" and json.loads(said["first"]["MESSAGE"])["note"] == "line\nbreak"
    assert len(json.loads(said["middle"]["MESSAGE"])["text"]) == 240_000
    assert 250_000 < len(said["large"]["MESSAGE"]) < 270_000
    assert "characters left out" in said["large"]["MESSAGE"]
    assert [said[event]["PRIORITY"] for event in ("large", "last", "process.uncaught")] == ["4", "3", "2"]
    assert "RuntimeError: unforeseen" in said["process.uncaught"]["MESSAGE"]
    assert all(
        entry["CORRELATION_ID"] == "speaker-0001" for entry in said.values() if "CORRELATION_ID" in entry
    )


def test_without_a_journal_lines_go_to_standard_error(tmp_path: Path) -> None:
    program = tmp_path / "speaker.py"
    program.write_text(SPEAKER)
    speaker = Process(under_systemd([sys.executable, str(program), str(tmp_path / "nobody")]))
    assert speaker.wait(60) == 1
    assert '"event": "first"' in speaker.output and "RuntimeError: unforeseen" in speaker.output


def test_a_journal_that_is_restarted_is_found_again(journald: Journald) -> None:
    journal = Journal(journald.socket)
    facts = {"event": "about.restart"}
    assert journal.send("before", facts, "info")
    journald.stop()
    # Whoever is told so writes the line elsewhere.
    assert not journal.send("meanwhile", facts, "info")
    journald.start()
    assert journal.send("after", facts, "info")
    journald.wait_for("MESSAGE=after")
    assert [entry["MESSAGE"] for entry in journald.entries("COMPOSER_EVENT=about.restart")][-1] == "after"


#: What the gateway's configuration says of its log, and a caller that is let in without a token.
GATEWAY = """
global
    maxconn 100
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 2s
frontend front_door
    bind 127.0.0.1:{port}
    bind 127.0.0.1:{other} accept-proxy
    unique-id-format %[uuid()]
    http-request set-var(txn.subject) hdr(x-subject)
{lines}
    http-request return status 200 content-type text/plain string ok hdr X-Correlation-Id %[unique-id]
"""
OF_THE_LOG = ("no log", "log ", "log-format ", "error-log-format ", "http-request set-var(txn.path)")
SUBJECT = "http-request set-var(txn.subject_json)"


def test_the_gateway_writes_the_same_field(journald: Journald, tmp_path: Path) -> None:
    template = Path(__file__).parents[2] / "roles/haproxy/templates/edge/etc/haproxy/haproxy.cfg.j2"
    front = template.read_text().partition("frontend front_door")[2].partition("\nbackend ")[0]
    lines = [line for line in front.splitlines() if line.strip().startswith(OF_THE_LOG)]
    lines += [line.partition(" if ")[0] for line in front.splitlines() if line.strip().startswith(SUBJECT)]
    assert len(lines) == 6
    text = "\n".join(lines).replace("/run/systemd/journal/socket", str(journald.socket))
    port, other = free_port(), free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(GATEWAY.format(port=port, other=other, lines=text))
    gateway = Process(["haproxy", "-db", "-f", str(config)])
    try:
        gate = f"http://127.0.0.1:{port}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=8), timeout=20) as http:
            forged = 'te"a\\cher CORRELATION_ID=forged é' + "x" * 3000
            answer = http.get(
                f"{gate}/mcp%0ACORRELATION_ID=forged{'p' * 7000}?secret=canary",
                headers={"X-Subject": forged.encode(), "Authorization": "Bearer canary"},
            )
            identity = answer.headers["X-Correlation-Id"]
            with pytest.raises(httpx.HTTPError):
                http.get(f"http://127.0.0.1:{other}/")
        entry = journald.wait_for(f"CORRELATION_ID={identity}")
        assert (entry["COMPOSER_EVENT"], entry["COMPOSER_STATUS"], entry["PRIORITY"]) == ("call", "200", "6")
        told = json.loads(entry["MESSAGE"])
        assert told["correlation_id"] == identity and told["path"].startswith("/mcp%0ACORRELATION_ID=forged")
        assert told["subject"].startswith('te"a\\cher')
        assert not journald.entries("CORRELATION_ID=forged") and "canary" not in json.dumps(entry)
        failed = journald.wait_for("COMPOSER_EVENT=connection_failed")
        assert json.loads(failed["MESSAGE"])["source"] == "127.0.0.1"
    finally:
        gateway.stop()
