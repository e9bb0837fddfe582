"""A pytest plugin (`-p tools.testrun.recorder`) that writes one JSON line per finished test.

A run that is cut off still counts what it did, and names the tests that were under way.
With workers (pytest-xdist) only the process that hears them all records.

Tests may add a line to the summary with `record_property("summary", "…")`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from tools.testrun.report import Item, Outcome

CUT_OFF = "was under way when the run was stopped"


class Record(BaseModel):
    """One line of the file."""

    name: str
    outcome: Outcome
    seconds: float
    detail: str = ""
    remarks: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the file."""
    parser.addoption("--record", type=Path, required=True, help="file for one JSON line per test")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start to record, unless this is a worker: what it reports is heard by the one that started it."""
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(_Recorder(config.getoption("--record")), "testrun-recorder")


class _Recorder:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
        self._path = path
        self._open: dict[str, Record] = {}

    @pytest.hookimpl
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test is under way from now on."""
        self._record(nodeid)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather set-up, call and tear-down of a test into one record."""
        record = self._record(report.nodeid)
        record.seconds += report.duration
        record.remarks += [str(value) for key, value in report.user_properties if key == "summary"]
        if report.failed and record.outcome is not Outcome.FAILED:
            record.outcome, record.detail = Outcome.FAILED, _reason(report.longrepr)
        elif report.skipped and record.outcome is Outcome.PASSED:
            record.outcome, record.detail = Outcome.SKIPPED, _reason(report.longrepr)
        # After the end of its worker, a test has one report, of no phase.
        if report.when not in ("setup", "call"):
            self._write(self._open.pop(report.nodeid))

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        """What is open now was cut off."""
        for record in self._open.values():
            record.outcome, record.detail = Outcome.FAILED, CUT_OFF
            self._write(record)
        self._open.clear()

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported is a failure of its own."""
        if report.failed:
            self._write(
                Record(name=report.nodeid, outcome=Outcome.FAILED, seconds=0, detail=_reason(report.longrepr))
            )

    def _record(self, name: str) -> Record:
        return self._open.setdefault(name, Record(name=name, outcome=Outcome.PASSED, seconds=0))

    def _write(self, record: Record) -> None:
        record.remarks = list(dict.fromkeys(record.remarks))
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record.model_dump(mode="json")) + "\n")


def _reason(longrepr: object) -> str:
    """One line that says what went wrong, out of the several forms that pytest uses."""
    if isinstance(longrepr, tuple):  # a skip: file, line, reason
        return str(longrepr[-1]).removeprefix("Skipped: ")
    crash = getattr(longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else longrepr).strip()
    return text.splitlines()[0 if crash is not None else -1] if text else ""


def read(path: Path) -> tuple[list[Item], list[str]]:
    """What a recorded run found: its items and its lines for the summary."""
    items: list[Item] = []
    remarks: list[str] = []
    for record in _records(path):
        items.append(Item(record.name, record.outcome, record.seconds, record.detail))
        remarks += record.remarks
    return items, remarks


def _records(path: Path) -> Iterator[Record]:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        yield Record.model_validate_json(line)
