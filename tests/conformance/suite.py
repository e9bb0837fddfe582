"""Runs the protocol's conformance suite and reads what it found."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import node

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / ".cache/test/conformance"
SCENARIO_MILLISECONDS = 30_000
SUITE_SECONDS = 300
GOOD = {"SUCCESS", "INFO"}
Recorder = Callable[[str, object], None]


def python_path() -> str:
    """Where a program of these tests finds its modules, for the environment."""
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one scenario, as the suite wrote it down."""

    scenario: str
    name: str
    status: str
    message: str

    @property
    def passed(self) -> bool:
        """Whether the suite is content; what it skipped or warns of is not good enough."""
        return self.status in GOOD

    def __str__(self) -> str:
        return f"{self.scenario}: {self.name}: {self.status}: {self.message}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the suite found, and what it said while it ran."""

    checks: Sequence[Check]
    said: str
    exit_code: int

    @property
    def not_scored(self) -> set[str]:
        """The scenarios that the suite itself does not count for the revision, each with its reason there."""
        _, _, listed = self.said.partition("\nNot scored for")
        return set(re.findall(r"^  [✓✗] ([\w-]+) \(", listed, re.MULTILINE))

    def judge(self, *, elsewhere: Collection[str] = ()) -> str:
        """Fail readably unless every check is passed, and the suite itself thinks so.

        ``elsewhere`` names scenarios that are judged in another run.

        Returns:
            A line for the summary, which also tells of what the suite ran without counting it.
        """
        assert self.checks, f"the suite checked nothing; it said:\n{self.said[-4000:]}"
        counted = [check for check in self.checks if check.scenario not in {*self.not_scored, *elsewhere}]
        wrong = [check for check in counted if not check.passed]
        found = "\n".join(f"  {check}" for check in wrong)
        assert not wrong, f"{len(wrong)} of {len(counted)} checks failed:\n{found}"
        assert elsewhere or self.exit_code == 0, (
            f"the suite ended with {self.exit_code}:\n{self.said[-4000:]}"
        )
        missed = {check.scenario for check in self.checks if not check.passed} & self.not_scored
        scenarios = {check.scenario for check in counted}
        line = f"{len(scenarios)} scenarios, {len(counted)} checks, all passed"
        if self.not_scored:
            line += f"; {len(self.not_scored - missed)} of {len(self.not_scored)} that it does not score"
        return line + (f" (not: {', '.join(sorted(missed))})" if missed else "")


def run(name: str, url: str, *arguments: str) -> Outcome:
    """Run the suite against a server; its files stay in a folder of that name beside the logs."""
    folder = LOGS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [
        *node.program("conformance"), "server", "--url", url, "--output-dir", str(folder),
        "--timeout", str(SCENARIO_MILLISECONDS), *arguments,
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env=dict(node.environment()),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SUITE_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    said = done.stdout + done.stderr
    (folder / "said.txt").write_text(said, encoding="utf-8")
    return Outcome(list(_checks(folder)), said, done.returncode)


def server_scenarios() -> set[str]:
    """The names of all scenarios that the suite has for servers."""
    done = subprocess.run(
        [*node.program("conformance"), "list", "--server"],
        env=dict(node.environment()),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return set(re.findall(r"^  - ([\w-]+) \[", done.stdout, re.MULTILINE))


def _checks(folder: Path) -> list[Check]:
    found = []
    for file in sorted(folder.glob("**/checks.json")):
        for check in json.loads(file.read_text(encoding="utf-8")):
            found.append(_check(file.parent.name, check))
    return found


def _check(folder: str, check: dict[str, Any]) -> Check:
    scenario = re.sub(r"-\d{4}-\d\d-\d\dT[\d-]+Z$", "", folder.removeprefix("server-"))
    message = check.get("errorMessage") or check.get("description") or ""
    return Check(scenario, str(check.get("id")), str(check.get("status")), str(message))
