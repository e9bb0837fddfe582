"""A journal that takes nothing costs lines, never the time of calls; and it is said how many."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from composer_mcp.observability import journal
from composer_mcp.observability.journal import Journal


def receiver(path: Path) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.bind(str(path))
    channel.settimeout(5)
    return channel


def test_a_journal_that_takes_nothing_does_not_hold_up_the_process(tmp_path: Path) -> None:
    with receiver(tmp_path / "socket") as channel:
        lines = Journal(tmp_path / "socket")
        began = time.process_time(), time.monotonic()
        for number in range(3000):
            assert lines.send(f"line {number}", {"event": "flood"}, "info")
        # One wait in a second, and no line waits longer than that.
        waits = (time.monotonic() - began[1]) / journal.REST_SECONDS + 1
        assert time.monotonic() - began[1] < 1 + waits * journal.WAIT_SECONDS + 20 * (
            time.process_time() - began[0]
        )
        received = 0
        channel.setblocking(False)
        while True:
            try:
                channel.recv(4096)
            except BlockingIOError:
                break
            received += 1
        assert received < 3000
        assert lines.send("again", {}, "info")
        assert b"MESSAGE=again" in channel.recv(4096)
        told = channel.recv(4096).decode()
        assert f"MESSAGE={3000 - received} lines were lost" in told and "PRIORITY=4" in told
        assert "COMPOSER_EVENT=log.lines_lost" in told


def test_a_field_holds_one_line_of_bounded_length(tmp_path: Path) -> None:
    with receiver(tmp_path / "socket") as channel:
        facts = {"tenant": "a\nPRIORITY=0\rb", "tool": "t" * 5000, "unknown": "x", "kind": ""}
        Journal(tmp_path / "socket").send("said \ud800", facts, "error")
        entry = channel.recv(65536).decode()
    lines = entry.splitlines()
    assert "COMPOSER_TENANT=a PRIORITY=0 b" in lines
    assert "COMPOSER_TOOL=" + "t" * journal.LONGEST_FIELD in lines
    assert {line.partition("=")[0] for line in lines} == {
        "PRIORITY", "SYSLOG_IDENTIFIER", "COMPOSER_TENANT", "COMPOSER_TOOL", "MESSAGE"
    }  # fmt: skip


def test_only_the_journal_itself_is_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert journal.connected(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + 1}")
        assert not journal.connected(stream.fileno())
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not journal.connected(stream.fileno())
