"""No log line ever shows a secret, whatever carried it there."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest
import structlog

from composer_mcp.observability import logs
from composer_mcp.settings import LogSettings

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJlbWFpbCI6ImFAYiJ9.c2lnbmF0dXJlLW9mLXRoZS10ZXN0"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(LogSettings())
    yield stream
    logging.getLogger().handlers[:] = []
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"token {JWT} refused", JWT),
        ("GET /content?uid=1&access_token=abc123def456&x=1", "abc123def456"),
        ("project_key=0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        (f"https://c.test/#/embed/auth-with-token/pt_br/home/p-1/{JWT}", JWT),
        ("https://c.test/#/embed/auth-with-token/pt_br/home/p-1/opaque-token-value", "opaque-token-value"),
        ("Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"),
        ("postgres://composer:hunter2hunter2@core1/composer", "hunter2hunter2"),
        ("vault said hvs.CAESIJ1234567890abcdef", "hvs.CAESIJ1234567890abcdef"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, secret: str) -> None:
    assert secret not in logs.redact(text)
    assert logs.MASK in logs.redact(text)


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("job finished in 3.2 s", "uid H4sIAAAAAAAA_wFiAZ3-", "GET /mcp 200", "a=1&b=2"):
        assert logs.redact(text) == text


def test_a_secret_of_ours_is_masked_by_its_value(written: io.StringIO) -> None:
    logs.hide("plain looking words")
    structlog.get_logger("t").info("event", note="it says: plain looking words, doesn't it")
    assert "plain looking words" not in written.getvalue()


def test_fields_with_telling_names_are_masked(written: io.StringIO) -> None:
    structlog.get_logger("t").warning(
        "event",
        password="x1y2z3",
        nested={"Project-Key": "k9k9k9", "list": [{"access_token": "t8t8"}]},
        tokens=3,
    )
    line = json.loads(written.getvalue())
    assert "x1y2z3" not in written.getvalue() and "k9k9k9" not in written.getvalue()
    assert "t8t8" not in written.getvalue()
    assert line["tokens"] == 3


def test_a_traceback_is_masked(written: io.StringIO) -> None:
    try:
        raise RuntimeError(f"refused {JWT}")
    except RuntimeError:
        structlog.get_logger("t").exception("event")
    assert "RuntimeError: refused" in written.getvalue() and JWT not in written.getvalue()


def test_lines_of_libraries_take_the_same_way(written: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(correlation_id="corr-0001")
    logging.getLogger("some.library").warning("calling %s", f"https://x.test/?access_token={JWT}")
    line = json.loads(written.getvalue())
    assert line["logger"] == "some.library" and line["level"] == "warning"
    assert line["correlation_id"] == "corr-0001"
    assert JWT not in written.getvalue()
    structlog.contextvars.clear_contextvars()


def test_one_event_is_one_line(written: io.StringIO) -> None:
    structlog.get_logger("t").info("event", note="first\nsecond")
    assert written.getvalue().count("\n") == 1


def test_our_lines_say_where_they_come_from_and_how_grave_they_are(written: io.StringIO) -> None:
    structlog.get_logger("composer_mcp.some.part").debug("not shown at level info")
    structlog.get_logger("composer_mcp.some.part").warning("event", note="a")
    line = json.loads(written.getvalue())
    assert (line["logger"], line["level"], line["event"]) == ("composer_mcp.some.part", "warning", "event")
    assert line["timestamp"].endswith("Z")


def test_the_level_changes_while_the_process_runs(written: io.StringIO) -> None:
    ours, theirs = structlog.get_logger("ours"), logging.getLogger("theirs")
    frequent = logs.Frequent("frequent")

    def told(level: str) -> set[str]:
        written.truncate(0)
        getattr(ours, level)("event")
        getattr(theirs, level)("event")
        frequent.write(level, "event", {}, correlation_id="c")
        return {json.loads(line.strip("\0"))["logger"] for line in written.getvalue().splitlines()}

    everybody = {"ours", "theirs", "frequent"}
    assert told("info") == everybody and told("debug") == set()
    logs.set_level("debug")
    assert told("debug") == everybody
    logs.set_level("warning")
    assert told("info") == set() and told("warning") == everybody


def test_a_log_that_nobody_takes_any_more_fails_no_call(written: io.StringIO) -> None:
    written.close()
    structlog.get_logger("t").info("event")
    logging.getLogger("some.library").warning("event")
