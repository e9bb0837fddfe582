"""A report as Markdown: what an auditor found, what is declined and why. Knows no auditor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from lab.machine import PROJECT

REPORTS = PROJECT / "docs" / "audits"
SCENARIO = PROJECT / "molecule" / "hardening"
WAIVERS = SCENARIO / "waivers"

INTRODUCTION = """\
# Audits

What third parties say of hosts that this collection has provisioned. `make audits` boots a Debian 12 and a
Debian 13 as containers, applies the host layer (hardening, tls, firewall, node_exporter), installs the
application's units, lets the auditors judge and writes these pages; `make audits ONLY=lynis` has one judge.
Nothing here is typed: why a finding is not followed stands in `molecule/hardening/lynis.prf`,
`molecule/hardening/container.prf` and `molecule/hardening/waivers`. A finding without a reason, or a value
beyond its limit, is *open*, and `make audits` fails.

| report | made on | result | open |
|---|---|---|---|"""


@dataclass
class Page:
    """One auditor's report."""

    name: str
    title: str
    #: What the auditor judges, in one sentence; it stands in the index as well.
    about: str
    versions: Mapping[str, str]
    #: The result in a few words, for the index.
    result: str = ""
    sections: list[str] = field(default_factory=list)
    #: What nobody has given a reason for yet, or what misses its limit. `make audits` fails with any.
    unexplained: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The page."""
        used = "; ".join(f"{name} {version}" for name, version in self.versions.items())
        head = f"# {self.title}\n\n{self.about}\n\nMade by `make audits` on {today()} with {used}.\n"
        open_points = self.unexplained or ["Nothing."]
        tail = "## Open\n" + "\n".join(f"- {point}" for point in open_points)
        return "\n".join(
            [head, f"**Result: {self.result}**\n", *(part + "\n" for part in self.sections), tail, ""]
        )

    def write(self) -> Path:
        """Write it below docs/audits."""
        REPORTS.mkdir(parents=True, exist_ok=True)
        path = REPORTS / f"{self.name}.md"
        path.write_text(self.text(), encoding="utf-8")
        return path


def today() -> str:
    """The date in UTC, as it is written on every page."""
    return datetime.now(UTC).date().isoformat()


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; a bar in a cell is kept as text."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        lines.append("| " + " | ".join(_cell(value) for value in row) + " |")
    return "\n".join(lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def reasons(name: str) -> dict[str, Any]:
    """A waiver file beside the scenario."""
    found: dict[str, Any] = yaml.safe_load((WAIVERS / f"{name}.yml").read_text(encoding="utf-8"))
    return dict(found)


def index(pages: Sequence[Page]) -> None:
    """Write the list of all reports; pages that were not made this time keep their line."""
    path = REPORTS / "README.md"
    lines = _kept(path) | {
        page.name: f"| [{page.title}]({page.name}.md) | {today()} | {_cell(page.result)} "
        f"| {len(page.unexplained)} |"
        for page in pages
    }
    rows = [lines[name] for name in sorted(lines)]
    path.write_text("\n".join([INTRODUCTION, *rows, ""]), encoding="utf-8")


def _kept(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    rows = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("| [")]
    return {row.split("](")[1].split(".md)")[0]: row for row in rows}
