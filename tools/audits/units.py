"""`systemd-analyze security`: how much each of our units may do, by systemd's own scale from 0 to 10."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools.audits.machines import Machine
from tools.audits.pages import Page, reasons, table

# As the tests of their roles demand; instances stand for their templates.
LIMITS = {"prometheus-node-exporter": 2.0, "composer-web@blue": 2.5, "composer-worker@1": 4.0}
LISTED = "cd /etc/systemd/system && ls -d composer-*.service prometheus-node-exporter.service.d"


def ours(listed: str) -> list[str]:
    """The units in a listing of /etc/systemd/system that our roles wrote or narrowed."""
    instances = {unit.split("@")[0]: unit for unit in LIMITS if "@" in unit}
    units = set()
    for name in listed.split():
        plain = name.removesuffix(".d").removesuffix(".service")
        if plain.endswith("@"):
            units.add(instances[plain.rstrip("@")])
        else:
            units.add(plain)
    return sorted(units)


def exposure(said: str) -> float:
    """The figure in the last line of `systemd-analyze security`.

    Raises:
        ValueError: there is none.
    """
    found = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    if found is None:
        raise ValueError(f"systemd-analyze gave no figure: {said.strip()[-300:]}")
    return float(found[1])


def audit(machines: Sequence[Machine]) -> Page:
    """Ask each host's systemd about the unit files as our roles wrote them; nothing has to run."""
    page = Page(
        "units",
        "Units",
        "How much a unit may do, from 0 (nothing) to 10 (anything), by systemd's own measure.",
        {f"systemd (Debian {one.release})": one.version("systemd") for one in machines},
    )
    answers = reasons("units")
    seen: dict[str, dict[str, float]] = {}
    for machine in machines:
        machine.output("systemctl daemon-reload")
        for unit in ours(machine.output(LISTED)):
            said = machine.output(f"systemd-analyze security --no-pager {unit}.service")
            seen.setdefault(unit, {})[machine.release] = exposure(said)
    rows = []
    for unit, figures in sorted(seen.items(), key=lambda one: (one[0] not in LIMITS, one[0])):
        limit, reason = LIMITS.get(unit), answers.get(unit, "")
        rows.append([f"`{unit}`", *(figures.get(one.release, "") for one in machines), limit or "", reason])
        if limit is None and not reason:
            page.unexplained.append(f"{unit} has neither a limit nor a word on what it is allowed.")
        page.unexplained += [
            f"{unit} on Debian {release} has {figure}; the limit is {limit}."
            for release, figure in figures.items()
            if limit is not None and figure > limit
        ]
    page.sections.append(
        table(["unit", *(f"Debian {one.release}" for one in machines), "limit", "what it is allowed"], rows)
    )
    page.result = ", ".join(
        f"{unit}: {' and '.join(str(figure) for figure in seen[unit].values())} (limit {limit})"
        for unit, limit in LIMITS.items()
    )
    return page
