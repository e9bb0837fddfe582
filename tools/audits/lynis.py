"""Lynis, as packaged by each Debian, with the waivers of the hardening scenario."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tools.audits.machines import Machine, side_by_side
from tools.audits.pages import SCENARIO, Page, reasons, table

PROFILES = ("lynis.prf", "container.prf")
LOWEST_INDEX = 88
SECONDS = 480


@dataclass(frozen=True)
class Report:
    """What Lynis wrote: the index, and (kind, test, text) of each finding.

    A test that looks at several settings has the setting's name behind a colon, as Lynis itself writes it in
    profiles: `SSH-7408:Compression`.
    """

    index: int
    findings: Sequence[tuple[str, str, str]]


def parse(text: str) -> Report:
    """Read lynis-report.dat.

    Raises:
        ValueError: it has no index: Lynis was stopped.
    """
    index = re.search(r"^hardening_index=(\d+)$", text, re.MULTILINE)
    if index is None:
        raise ValueError("the report of Lynis has no hardening index")
    line = r"^(warning|suggestion)\[\]=([^|\n]+)\|([^|\n]*)\|([^|\n]*)"
    found = {
        (kind, f"{test}:{details.split()[0]}", f"{said}: {details}")
        if " (set " in details
        else (kind, test, said)
        for kind, test, said, details in re.findall(line, text, re.MULTILINE)
    }
    return Report(int(index[1]), sorted(found))


def waivers(profile: str) -> list[tuple[str, str]]:
    """(test, reason) of each line that leaves a test out; the reason is the comment above."""
    found: list[tuple[str, str]] = []
    reason: list[str] = []
    fresh = True
    for line in profile.splitlines():
        if line.startswith("#"):
            reason = [line[1:].strip()] if fresh else [*reason, line[1:].strip()]
            fresh = False
        elif line.startswith("skip-test="):
            found.append((line.removeprefix("skip-test="), " ".join(reason)))
            fresh = True
    return found


def _run(machine: Machine) -> Report:
    machine.install("lynis")
    profile = "\n".join((SCENARIO / name).read_text(encoding="utf-8") for name in PROFILES)
    machine.run("mkdir -p /etc/lynis && cat > /etc/lynis/custom.prf", input=profile)
    # Its status tells of findings, not of its own success; a run that was cut has no index.
    machine.run("lynis audit system --quick --no-colors", seconds=SECONDS)
    return parse(machine.output("cat /var/log/lynis-report.dat"))


def audit(machines: Sequence[Machine]) -> Page:
    """Run it with the waivers; what it says besides needs a reason of its own."""
    reports = side_by_side(_run)
    answers = reasons("lynis")
    page = Page(
        "lynis",
        "Lynis",
        "Looks at a host from inside and gives an index from 0 to 100.",
        {f"Lynis (Debian {one.release})": one.version("lynis") for one in machines},
    )
    page.result = ", ".join(
        f"Debian {machine.release}: {report.index}" for machine, report in zip(machines, reports, strict=True)
    )
    page.sections.append(
        table(
            ["host", "index", "lowest allowed"],
            [
                [f"Debian {machine.release}", report.index, LOWEST_INDEX]
                for machine, report in zip(machines, reports, strict=True)
            ],
        )
    )
    rows = []
    for machine, report in zip(machines, reports, strict=True):
        if report.index < LOWEST_INDEX:
            page.unexplained.append(
                f"Debian {machine.release}: the index {report.index} is below {LOWEST_INDEX}."
            )
        for kind, test, text in report.findings:
            reason = answers.get(test)
            rows.append([f"Debian {machine.release}", kind, test, text, reason or "open"])
            if not reason:
                page.unexplained.append(f"Debian {machine.release}: {test}: {text}")
    page.sections.append(
        "## What remains\n" + table(["host", "kind", "test", "what Lynis says", "declined because"], rows)
    )
    for name in PROFILES:
        listed = waivers((SCENARIO / name).read_text(encoding="utf-8"))
        title = "What a container cannot show" if name == "container.prf" else "Waivers"
        page.sections.append(
            f"## {title}\nFrom `molecule/hardening/{name}`.\n\n" + table(["test", "reason"], listed)
        )
    return page
