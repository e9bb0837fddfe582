"""The test runner hides nothing: what it promises to the reader of its summary."""

import asyncio
import io
import re
import sys
import time
from pathlib import Path

import pytest

from tools.testrun import molecule, process, recorder
from tools.testrun.__main__ import left_out, run, split
from tools.testrun.context import Context
from tools.testrun.layers import LAYERS, PytestLayer, run_layer
from tools.testrun.report import AcceptedSkip, Console, Item, LayerReport, Outcome, last_line, summary

PASSED = Item("a", Outcome.PASSED, 1.0)
FAILED = Item("b", Outcome.FAILED, 2.0, "the door is open")
SKIPPED = Item("c", Outcome.SKIPPED, 0.0, "needs cgroup v2")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path, Console(io.StringIO()))


def test_the_last_line_counts_all_layers():
    reports = [LayerReport("unit", Path("u"), [PASSED, FAILED]), LayerReport("lint", Path("l"), [PASSED])]
    assert last_line(reports) == "2 passed, 1 failed"
    assert summary(reports).splitlines()[-1] == "2 passed, 1 failed"


def test_skipped_items_are_named_with_their_reason():
    report = LayerReport("site", Path("s"), [PASSED, SKIPPED])
    report.close([AcceptedSkip("site", re.compile("cgroup v2"), "kernel")])
    text = summary([report])
    assert text.endswith("1 passed, 0 failed, 1 skipped")
    assert "skipped site c: needs cgroup v2" in text


def test_a_skip_that_nobody_accepted_is_a_failure():
    report = LayerReport("unit", Path("u"), [PASSED, SKIPPED])
    report.close([AcceptedSkip("site", re.compile("cgroup v2"), "accepted in another layer only")])
    assert [item.name for item in report.failures] == ["c"]


def test_a_layer_in_which_nothing_passed_is_a_failure():
    report = LayerReport("unit", Path("u"))
    report.close([])
    assert last_line([report]) == "0 passed, 1 failed"


def test_a_layer_left_out_by_hand_is_named_with_the_reason_given():
    report = LayerReport("molecule", Path("m"), left_out="no containers here")
    report.close([])
    text = summary([report])
    assert "molecule was left out: no containers here" in text
    assert text.endswith("0 passed, 0 failed")


def test_a_failure_says_where_its_log_is():
    assert "see .cache/x.log" in summary([LayerReport("unit", Path(".cache/x.log"), [FAILED])])


def test_the_output_of_a_program_goes_to_the_log_and_its_failure_to_the_console(
    context: Context, tmp_path: Path
):
    log = tmp_path / "x.log"
    command = [sys.executable, "-c", "print('the valve is shut'); raise SystemExit(3)"]
    item = asyncio.run(context.run("lint", "valve", command, log=log, limit_seconds=30))
    assert item.outcome is Outcome.FAILED
    assert item.detail == "exit code 3"
    assert "the valve is shut" in log.read_text()
    assert "the valve is shut" in context.console._stream.getvalue()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_program_that_never_ends_is_stopped_with_what_it_started(context: Context, tmp_path: Path):
    child = tmp_path / "child.pid"
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.pause()"
    script = (
        "import pathlib, signal, subprocess, sys;"
        f"child = subprocess.Popen([sys.executable, '-c', {deaf!r}]);"
        f"pathlib.Path({str(child)!r}).write_text(str(child.pid)); signal.pause()"
    )
    item = asyncio.run(
        context.run(
            "lint", "endless", [sys.executable, "-c", script], log=tmp_path / "x.log", limit_seconds=2
        )
    )
    assert item.detail == "stopped at its limit of 2 s"
    deadline = time.monotonic() + 5
    while is_alive(int(child.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(int(child.read_text()))


def test_a_missing_program_is_reported_with_the_remedy(context: Context, tmp_path: Path):
    item = asyncio.run(context.run("lint", "x", ["no-such-checker"], log=tmp_path / "x.log", limit_seconds=5))
    assert item.detail == "no-such-checker is not installed: run `make setup`"


def test_the_console_shows_the_last_line_with_text(tmp_path: Path):
    log = tmp_path / "x.log"
    log.write_text("first\nsecond\n\n  \n")
    assert process.last_line_of(log) == "second"


def test_pytest_items_are_counted_as_they_end(tmp_path: Path, context: Context):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_text(
        "import pytest\n"
        "def test_good(record_property): record_property('summary', 'memory: 3 GiB')\n"
        "def test_bad(): assert 1 == 2, 'one is not two'\n"
        "@pytest.mark.skip(reason='needs cgroup v2')\n"
        "def test_later(): pass\n"
    )
    context.env["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
    report = asyncio.run(PytestLayer("site", "tests", 60)(context, []))
    found = {item.name.split("::")[-1]: (item.outcome, item.detail) for item in report.items}
    assert found["test_good"][0] is Outcome.PASSED
    assert found["test_bad"] == (Outcome.FAILED, "AssertionError: one is not two")
    assert found["test_later"] == (Outcome.SKIPPED, "needs cgroup v2")
    assert report.remarks == ["memory: 3 GiB"]


def test_a_test_file_that_cannot_be_imported_is_a_failure(tmp_path: Path, context: Context):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_text("import no_such_module\n")
    context.env["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
    report = asyncio.run(PytestLayer("unit", "tests", 60)(context, []))
    assert len(report.failures) == 1
    assert "no_such_module" in report.failures[0].detail


def test_a_cut_off_run_keeps_what_it_recorded(tmp_path: Path):
    record = tmp_path / "x.jsonl"
    record.write_text('{"name": "t", "outcome": "passed", "seconds": 0.5}\n')
    assert recorder.read(record) == ([Item("t", Outcome.PASSED, 0.5)], [])


@pytest.mark.parametrize(
    ("words", "layers", "arguments"),
    [
        ([], list(LAYERS), []),
        (["unit", "lint"], ["unit", "lint"], []),
        (["unit", "tests/unit/mcp", "-k", "token"], ["unit"], ["tests/unit/mcp", "-k", "token"]),
        (["molecule", "site"], ["molecule"], ["site"]),
        (["molecule"], ["molecule"], []),
    ],
)
def test_the_command_line_names_layers_then_arguments(
    words: list[str], layers: list[str], arguments: list[str]
):
    assert split(words) == (layers, arguments)


@pytest.mark.parametrize("words", [["units"], ["unit", "lint", "mypy"]])
def test_a_word_that_is_no_layer_is_refused(words: list[str]):
    with pytest.raises(ValueError, match="is no layer"):
        split(words)


@pytest.mark.parametrize("pair", ["molecule", "molecule=", "moss=because"])
def test_a_layer_is_left_out_only_with_a_reason(pair: str):
    with pytest.raises(ValueError, match="LAYER=REASON"):
        left_out([pair])


def test_an_unknown_scenario_is_refused_with_the_ones_that_exist():
    with pytest.raises(LookupError, match="called fire; there are: firewall, tls"):
        molecule.choose(["firewall", "tls"], ["fire"])


def test_a_layer_that_fails_makes_the_run_fail_and_the_others_still_run(
    context: Context, monkeypatch: pytest.MonkeyPatch
):
    async def broken(context: Context, arguments: object) -> LayerReport:
        return LayerReport("unit", context.logs / "unit.log", [FAILED])

    async def sound(context: Context, arguments: object) -> LayerReport:
        return LayerReport("lint", context.logs / "lint.log", [PASSED])

    monkeypatch.setattr("tools.testrun.layers.LAYERS", {"unit": broken, "lint": sound})
    assert asyncio.run(run(context, ["unit", "lint"], {}, [])) == 1
    assert context.console._stream.getvalue().endswith("1 passed, 1 failed\n")


def test_each_run_starts_with_an_empty_log(context: Context, monkeypatch: pytest.MonkeyPatch):
    async def quiet(context: Context, arguments: object) -> LayerReport:
        return LayerReport("unit", context.logs / "unit.log", [PASSED])

    monkeypatch.setattr("tools.testrun.layers.LAYERS", {"unit": quiet})
    context.logs.mkdir(parents=True)
    (context.logs / "unit.log").write_text("from yesterday")
    asyncio.run(run_layer(context, "unit", []))
    assert (context.logs / "unit.log").read_text() == ""
