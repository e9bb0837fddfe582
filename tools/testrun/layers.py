"""The layers by name, and those that are a pytest run."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.testrun import lint, molecule, recorder
from tools.testrun.context import Context, failure_sentence
from tools.testrun.process import TIMED_OUT, Program
from tools.testrun.process import run as run_program
from tools.testrun.report import AcceptedSkip, Item, LayerReport, Outcome, tail

Layer = Callable[[Context, Sequence[str]], Awaitable[LayerReport]]

# What may be skipped, and why a user can live with it. Anything else that is skipped counts as failed.
ACCEPTED_SKIPS: tuple[AcceptedSkip, ...] = (
    AcceptedSkip(
        "site",
        re.compile("cgroup v2"),
        "memory pressure limits exist only where the kernel offers the second version of control groups",
    ),
)


@dataclass(frozen=True, slots=True)
class PytestLayer:
    """A folder of tests, run by pytest."""

    name: str
    folder: str
    limit_seconds: float
    needs: Sequence[str] = ()
    options: Sequence[str] = field(default=())

    async def __call__(self, context: Context, arguments: Sequence[str]) -> LayerReport:
        """Run the whole folder, or what the arguments choose."""
        report = LayerReport(self.name, context.logs / f"{self.name}.log")
        failed = await context.prepare(self.name, self.needs)
        if failed:
            report.items += failed
            return report
        record = context.logs / f"{self.name}.jsonl"
        record.unlink(missing_ok=True)
        chosen = (
            arguments
            if any(_names_a_path(context.root, word) for word in arguments)
            else [self.folder, *arguments]
        )
        plugins = ("-p", "tools.testrun.recorder", "--record", str(record), "-p", "tools.testrun.workers")
        command = context.python("pytest", *plugins, "-v", *self.options, *chosen)
        context.console.say(self.name, f"pytest {' '.join(chosen)} …")
        program = Program("pytest", command, context.root, self.limit_seconds, context.env)
        code, _ = await run_program(program, report.log, self.name, context.console)
        report.items, report.remarks = recorder.read(record)
        if code == TIMED_OUT or (code != 0 and not report.failures):
            report.items.append(
                Item("pytest", Outcome.FAILED, detail=_pytest_ended(code, command, self.limit_seconds))
            )
        if report.failures:
            context.console.say(self.name, f"FAILED; the end of {report.log}:")
            context.console.show(tail(report.log))
        return report


def _names_a_path(root: Path, word: str) -> bool:
    return not word.startswith("-") and (root / word.split("::")[0]).exists()


def _pytest_ended(code: int, command: Sequence[str], limit_seconds: float) -> str:
    known = {4: "pytest did not understand its arguments, or a path is missing", 5: "no test was found"}
    return known.get(code) or failure_sentence(code, command, limit_seconds)


# Quick ones first: what is cheap to know is known early.
LAYERS: Mapping[str, Layer] = {
    "unit": PytestLayer("unit", "tests/unit", 600),
    "lint": lint.run,
    "integration": PytestLayer(
        "integration",
        "tests/integration",
        2700,
        needs=["binaries"],
        # A file stays with one worker, because its tests share servers. Three keep two processors busy: tests
        # wait a lot. The unforeseen end of a worker ends the run; pytest-xdist would repeat the fatal test.
        options=["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder", "--max-worker-restart", "0"],
    ),
    "conformance": PytestLayer("conformance", "tests/conformance", 900, needs=["node"]),
    "molecule": molecule.run,
    "site": PytestLayer(
        "site",
        "tests/site",
        3600,
        needs=molecule.NEEDS,
        # Uncaptured: what the lab says belongs into the log as it happens.
        options=["--timeout=1500", "--capture=no"],
    ),
}


def needs(name: str) -> Sequence[str]:
    """What has to be prepared before a layer can run."""
    layer = LAYERS[name]
    if isinstance(layer, PytestLayer):
        return layer.needs
    return molecule.NEEDS if name == molecule.LAYER else ()


async def run_layer(context: Context, name: str, arguments: Sequence[str]) -> LayerReport:
    """Run one layer from a clean log and judge what it found."""
    context.logs.mkdir(parents=True, exist_ok=True)
    (context.logs / f"{name}.log").write_bytes(b"")
    start = time.monotonic()
    report = await LAYERS[name](context, arguments)
    report.seconds = time.monotonic() - start
    report.close(ACCEPTED_SKIPS)
    passed, failed = report.count(Outcome.PASSED), report.count(Outcome.FAILED)
    context.console.say(name, f"done in {report.seconds:.1f} s: {passed} passed, {failed} failed")
    return report
