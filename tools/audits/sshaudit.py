"""ssh-audit, in the version that the lock pins, from this machine over the network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tools.audits.machines import Machine
from tools.audits.pages import Page, table

KINDS = {"kex": "key exchange", "key": "host key", "enc": "cipher", "mac": "message authentication"}
SECONDS = 120


def notes(report: Mapping[str, Any], levels: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    """(level, kind, algorithm, text) of each note of these levels."""
    for kind, name in KINDS.items():
        for item in report[kind]:
            for level in levels:
                for text in item.get("notes", {}).get(level, []):
                    yield level, name, item["algorithm"], text


def _run(machine: Machine) -> dict[str, Any]:
    program = str(Path(sys.executable).parent / "ssh-audit")
    # Without the attempt to exhaust the server: the firewall ends it, and the next host's audit with it.
    command = [program, "--skip-rate-test", "--json", machine.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def audit(machines: Sequence[Machine]) -> Page:
    """Ask each host for its algorithms; any fail or warn is open."""
    page = Page(
        "ssh-audit",
        "ssh-audit",
        "Judges from the network which algorithms the ssh server offers.",
        {"ssh-audit": version("ssh-audit")}
        | {f"OpenSSH (Debian {m.release})": m.version("openssh-server") for m in machines},
    )
    counts = []
    for machine in machines:
        report = _run(machine)
        bad = list(notes(report, ("fail", "warn")))
        counts.append(f"Debian {machine.release}: {len(bad)} fail or warn")
        page.unexplained += [f"Debian {machine.release}: {' '.join(note)}" for note in bad]
        page.unexplained += [f"Debian {machine.release}: {cve['name']}" for cve in report.get("cves", [])]
        rows = [
            [name, item["algorithm"], "; ".join(item.get("notes", {}).get("info", []))]
            for kind, name in KINDS.items()
            for item in report[kind]
        ]
        page.sections.append(
            f"## Debian {machine.release}\n`{report['banner']['raw']}`\n\n"
            + table(["kind", "offered", "what ssh-audit adds"], rows)
        )
    page.result = ", ".join(counts)
    return page
