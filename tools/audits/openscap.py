"""OpenSCAP with the content of the SCAP Security Guide.

The guide packaged in Debian 12 knows releases up to 11; Debian 13's package knows 12, and none knows 13. So
the host with Debian 12 is judged, with the content from Debian 13's package.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tools.audits.machines import Machine
from tools.audits.pages import Page, reasons, table

CONTENT = "/usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml"
PROFILES = ("standard", "anssi_bp28_minimal", "anssi_bp28_intermediary")
PREFIX = "xccdf_org.ssgproject.content_"
SECONDS = 300
JUDGED = ("pass", "fail", "notapplicable", "notchecked", "error", "unknown")


@dataclass(frozen=True)
class Result:
    """The outcome of each rule of a profile."""

    outcomes: dict[str, str]
    titles: dict[str, str]

    def count(self, outcome: str) -> int:
        """How many rules ended so."""
        return Counter(self.outcomes.values())[outcome]


def parse(said: str) -> Result:
    """Read what `oscap xccdf eval` prints.

    Raises:
        ValueError: it names no rule: the evaluation did not take place.
    """
    found = re.findall(
        r"^Title\s+(.+)\nRule\s+(\S+)\n(?:Ident\s.*\n)*Result\s+(\S+)$", said.replace("\r", ""), re.MULTILINE
    )
    if not found:
        raise ValueError(f"OpenSCAP evaluated no rule: {said.strip()[-300:]}")
    named = [(rule.removeprefix(f"{PREFIX}rule_"), title, outcome) for title, rule, outcome in found]
    return Result({rule: outcome for rule, _, outcome in named}, {rule: title for rule, title, _ in named})


def _scan(machine: Machine, profile: str) -> Result:
    command = f"oscap xccdf eval --profile {PREFIX}profile_{profile} /root/guide.xml"
    return parse(machine.run(command, seconds=SECONDS)[1])


def audit(machines: Sequence[Machine]) -> Page:
    """Evaluate the profiles on Debian 12."""
    older, newer = machines
    newer.install("ssg-debian")
    older.install("openscap-scanner")
    older.run("cat > /root/guide.xml", input=newer.output(f"cat {CONTENT}"))
    results = {profile: _scan(older, profile) for profile in PROFILES}
    declined = reasons("openscap")
    page = Page(
        "openscap",
        "OpenSCAP",
        "Compares a host with the SCAP Security Guide: its standard profile, and two levels of ANSSI BP-028.",
        {
            "OpenSCAP (Debian 12)": older.version("openscap-scanner"),
            "SCAP Security Guide (content for Debian 12, from Debian 13's package)": newer.version(
                "ssg-debian"
            ),
        },
    )
    page.result = ", ".join(
        f"{profile}: {found.count('pass')} pass, {found.count('fail')} fail"
        for profile, found in results.items()
    )
    page.sections.append(
        table(
            ["profile", *JUDGED],
            [[name, *(found.count(one) for one in JUDGED)] for name, found in results.items()],
        )
    )
    page.sections.append(
        "No package has content for Debian 13, so that host is not judged here. *notapplicable* are rules\n"
        "for what a container does not have: partitions, a boot loader, a kernel of its own. *notchecked*\n"
        "are rules that ask a person."
    )
    failed: dict[str, list[str]] = {}
    for profile, found in results.items():
        for rule, outcome in found.outcomes.items():
            if outcome in ("fail", "error", "unknown"):
                failed.setdefault(rule, []).append(profile)
    titles = {rule: title for found in results.values() for rule, title in found.titles.items()}
    rows = [
        [rule, titles.get(rule, ""), ", ".join(of), declined.get(rule, "open")]
        for rule, of in sorted(failed.items())
    ]
    page.sections.append(
        "## Failed rules\n" + table(["rule", "its title", "profiles", "declined because"], rows)
    )
    page.unexplained += [f"{rule}: {titles.get(rule, '')}" for rule in sorted(failed) if rule not in declined]
    # A reason that outlives its finding would hide the next one.
    page.unexplained += [
        f"{rule} does not fail any more: remove its reason." for rule in sorted(set(declined) - set(failed))
    ]
    return page
