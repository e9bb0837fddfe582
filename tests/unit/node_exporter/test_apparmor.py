"""The program that counts what AppArmor has denied, given a journal as journalctl writes it."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.host_programs import load

PROGRAM = Path(__file__).parents[3] / "roles/node_exporter/files/usr/local/lib/composer-host-metrics/apparmor"
SECONDS = 1_764_480_000
DENIED = 'apparmor="DENIED" operation="open" class="file" profile="/usr/sbin/named" name="/etc/shadow" pid=9'


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return load(PROGRAM)


@pytest.fixture
def state(program: ModuleType) -> dict[str, Any]:
    fresh: dict[str, Any] = program.fresh("a boot")
    return fresh


def kernel(serial: int, text: str = DENIED, kind: int = 1400) -> str:
    """A message of the kernel, as the journal tells it."""
    message = f"audit: type={kind} audit({SECONDS}.042:{serial}): {text}"
    return json.dumps({"__CURSOR": f"k{serial}", "_TRANSPORT": "kernel", "MESSAGE": message})


def record(serial: int, text: str = f"AVC {DENIED}", kind: int = 1400) -> str:
    """The same event as journald gets it from the audit system."""
    fields = {
        "_TRANSPORT": "audit",
        "_AUDIT_TYPE": str(kind),
        "_AUDIT_ID": str(serial),
        "_SOURCE_REALTIME_TIMESTAMP": f"{SECONDS}042000",
    }
    return json.dumps({"__CURSOR": f"a{serial}", "MESSAGE": text} | fields)


def line(serial: int) -> str:
    """The same event as auditd writes it."""
    return f"type=AVC msg=audit({SECONDS}.042:{serial}): {DENIED}\n"


def count(program: ModuleType, state: dict[str, Any], *journal: str, log: Path | None = None) -> int:
    """What is counted after one look."""
    if log:
        denials, anew = program.of_log(log, state, "")
        program.add(state, "log", denials, anew)
    for way, denials in program.of_journal(journal, state).items():
        program.add(state, way, denials)
    program.forget(state)
    # As it is kept between two looks.
    state.update(json.loads(json.dumps(state)))
    return int(state["denied"])


def test_messages_of_the_kernel_are_counted_without_auditd(
    program: ModuleType, state: dict[str, Any]
) -> None:
    assert count(program, state, kernel(1), kernel(2), kernel(3)) == 3
    assert state["cursor"] == "k3"
    assert count(program, state) == 3
    assert count(program, state, kernel(4, f"pid=1 uid=100 msg='{DENIED}'", kind=1107)) == 4


def test_what_comes_by_two_or_three_ways_counts_once(
    program: ModuleType, state: dict[str, Any], tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    assert count(program, state, kernel(1), record(1), kernel(2), record(2), log=log) == 2
    log.write_text(line(1) + line(2) + line(3))
    assert count(program, state, log=log) == 3
    assert count(program, state, kernel(3), record(3), record(4), log=log) == 4


def test_an_event_counts_as_often_as_one_way_tells_it(program: ModuleType, state: dict[str, Any]) -> None:
    assert count(program, state, kernel(1), record(1), kernel(1), record(1), kernel(1)) == 3


def test_only_the_kernel_and_who_asks_apparmor_tell_of_denials(
    program: ModuleType, state: dict[str, Any]
) -> None:
    quoted = json.dumps({"__CURSOR": "q", "_TRANSPORT": "kernel", "MESSAGE": f"usb 1-1: Product: {DENIED}"})
    command = record(5, f"USER_CMD {DENIED}", kind=1123)
    assert count(program, state, "-- No entries --", quoted, command) == 0


def test_a_message_that_is_no_text_is_counted(program: ModuleType, state: dict[str, Any]) -> None:
    message = f"audit: type=1400 audit({SECONDS}.042:8): {DENIED} ".encode() + b"\xff"
    entry = {"__CURSOR": "b", "_TRANSPORT": "kernel", "MESSAGE": list(message)}
    assert count(program, state, json.dumps(entry)) == 1


def test_a_flood_is_remembered_by_its_end_and_counted_once(
    program: ModuleType, state: dict[str, Any], tmp_path: Path
) -> None:
    many = program.REMEMBERED + 500
    log = tmp_path / "audit.log"
    log.write_text("".join(line(serial) for serial in range(1, many + 1)))
    assert count(program, state, log=log) == many
    assert len(state["events"]) == program.REMEMBERED
    # The place is lost, and the journal comes late: neither counts what was counted.
    state["log"] = ["another first line", 5]
    assert count(program, state, kernel(1), kernel(many), log=log) == many
    assert count(program, state, kernel(many + 1), log=log) == many + 1


def test_a_file_that_appears_twice_during_a_rotation_is_read_once(
    program: ModuleType, state: dict[str, Any], tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    log.write_text(line(1) + line(2))
    (tmp_path / "audit.log.1").hardlink_to(log)
    (tmp_path / "audit.log.2").write_text(line(0))
    assert count(program, state, log=log) == 3
