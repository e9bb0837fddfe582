"""Tests that run in several workers are counted as ever, and nothing of theirs is left behind."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools.testrun import recorder
from tools.testrun.context import Context
from tools.testrun.layers import PytestLayer
from tools.testrun.report import Console, LayerReport, Outcome

PROJECT = Path(__file__).resolve().parents[3]
LAYER = PytestLayer(
    "integration", "tests", 110, options=("-n", "2", "--dist", "loadfile", "--max-worker-restart", "0")
)
#: A server as the tests have them: in a session of its own, ended by its fixture, which takes its time.
SERVER = """
import os, pathlib, subprocess, time
import pytest

@pytest.fixture(scope="session")
def server():
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield child.pid
    time.sleep(6)
    child.terminate()
    child.wait()

"""


@pytest.fixture
def context(tmp_path: Path) -> Context:
    (tmp_path / "tests").mkdir()
    made = Context(tmp_path, Console(io.StringIO()))
    made.env["PYTHONPATH"] = str(PROJECT)
    return made


def write(context: Context, **files: str) -> None:
    for name, text in files.items():
        (context.root / "tests" / f"test_{name}.py").write_text(text)


def outcomes(report: LayerReport) -> dict[str, Outcome]:
    names = [item.name.split("::")[-1] for item in report.items]
    assert len(set(names)) == len(names), f"counted twice: {names}"
    return {name: item.outcome for name, item in zip(names, report.items, strict=True)}


def wait_until_all_exist(paths: Sequence[Path]) -> None:
    give_up = time.monotonic() + 60
    while not all(path.exists() for path in paths):
        assert time.monotonic() < give_up, f"not all of {paths} are there"
        time.sleep(0.05)


def test_each_test_is_counted_once_whichever_worker_ran_it(context: Context) -> None:
    write(
        context,
        one="import os\n"
        "def test_good(record_property): record_property('summary', os.environ['PYTEST_XDIST_WORKER'])\n"
        "def test_bad(): assert 1 == 2, 'one is not two'\n",
        two="import os, pytest\n"
        "def test_other(record_property): record_property('summary', os.environ['PYTEST_XDIST_WORKER'])\n"
        "@pytest.mark.skip(reason='needs cgroup v2')\n"
        "def test_later(): pass\n"
        "@pytest.fixture\n"
        "def broken():\n    yield\n    raise OSError('the valve is shut')\n"
        "def test_untidy(broken): pass\n",
        three="import no_such_module\n",
        four="import pytest, time\n@pytest.mark.timeout(1)\ndef test_stuck(): time.sleep(600)\n",
    )
    report = asyncio.run(LAYER(context, []))
    assert outcomes(report) == {
        "test_good": Outcome.PASSED,
        "test_bad": Outcome.FAILED,
        "test_other": Outcome.PASSED,
        "test_later": Outcome.SKIPPED,
        "test_untidy": Outcome.FAILED,
        "test_stuck": Outcome.FAILED,
        "tests/test_three.py": Outcome.FAILED,
    }
    details = {item.name.split("::")[-1]: item.detail for item in report.items}
    assert details["test_bad"] == "AssertionError: one is not two"
    assert details["test_later"] == "needs cgroup v2"
    assert "Timeout" in details["test_stuck"] and "no_such_module" in details["tests/test_three.py"]
    assert details["test_untidy"] == "OSError: the valve is shut"
    assert sorted(report.remarks) == ["gw0", "gw1"]


def test_a_test_that_takes_its_worker_with_it_is_named(context: Context) -> None:
    write(context, a="import os\ndef test_fatal(): os._exit(3)\n", b="def test_good(): pass\n")
    report = asyncio.run(LAYER(context, []))
    assert {(item.name, item.outcome) for item in report.items} >= {
        ("tests/test_a.py::test_fatal", Outcome.FAILED)
    }
    assert "crashed" in report.failures[0].detail


def test_after_ctrl_c_the_workers_take_their_servers_down_and_what_was_under_way_is_named(
    context: Context,
) -> None:
    run = (
        "def test_{0}(server):\n"
        "    pathlib.Path('{0}.new').write_text(str(server))\n"
        "    os.rename('{0}.new', '{0}.pid')\n"
        "    time.sleep(600)\n"
    )
    write(context, a=SERVER + run.format("a"), b=SERVER + run.format("b"))
    children = [context.root / f"{name}.pid" for name in "ab"]

    async def interrupted() -> None:
        running = asyncio.create_task(LAYER(context, ["--timeout=500"]))
        await asyncio.to_thread(wait_until_all_exist, children)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    # A background job of a shell would ignore the signal, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        asyncio.run(interrupted())
    finally:
        signal.signal(signal.SIGINT, before)
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(int(child.read_text()), 0)
    items, _ = recorder.read(context.logs / "integration.jsonl")
    assert {(item.name, item.detail) for item in items} == {
        (f"tests/test_{name}.py::test_{name}", recorder.CUT_OFF) for name in "ab"
    }
