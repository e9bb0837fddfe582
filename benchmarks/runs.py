"""Figures that other runs have left behind: the lab's phases and memory, the seconds of every test."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Report, Row

ROOT = Path(__file__).resolve().parent.parent
# From the recap of a play: what each host ran; `skipped` tasks cost next to nothing.
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s.*?skipped=(\d+)", re.MULTILINE)


def lab_runs() -> Iterator[Row]:
    """Seconds of each phase, memory and changes of the labs' last runs."""
    for figures in sorted(ROOT.glob(".lab*/out/timings.json")):
        lab = figures.parent.parent.name.lstrip(".")
        found = json.loads(figures.read_text(encoding="utf-8"))
        for phase, seconds in found["seconds"].items():
            yield Row(lab, f"phase {phase}", {"seconds": float(seconds)})
        yield Row(lab, "all phases", {"seconds": float(sum(found["seconds"].values()))})
        yield Row(lab, "memory of all hosts", {"MiB": sum(found["memory_bytes"].values()) / 2**20})
        log = figures.with_name("site.log")
        if log.exists():
            text = log.read_text(encoding="utf-8", errors="replace")
            for host, ok, changed, skipped in RECAP.findall(text):
                counts = {"tasks run": float(ok), "changed": float(changed), "skipped": float(skipped)}
                yield Row(lab, host, counts)


def test_runs() -> Iterator[Row]:
    """Seconds of each layer and each scenario of their last runs."""
    for path in sorted((ROOT / ".cache/test").glob("*.json")):
        for layer, found in json.loads(path.read_text(encoding="utf-8")).items():
            counts = {"seconds": float(found["seconds"]), "items": float(len(found["items"]))}
            yield Row("tests", f"layer {layer}", counts)
            if layer in ("molecule", "lint"):
                for item in sorted(found["items"], key=lambda one: -float(one["seconds"])):
                    yield Row("tests", f"{layer} {item['name']}", {"seconds": float(item["seconds"])})


async def run() -> Report:
    """Collect what there is."""
    report = Report(
        "runs", "Lab and tests", "Left behind by the last `make lab` and `make test` on this machine."
    )
    report.rows += [*lab_runs(), *test_runs()]
    for command, found in (
        ("make lab", any(ROOT.glob(".lab*/out/timings.json"))),
        ("make test", any((ROOT / ".cache/test").glob("*.json"))),
    ):
        if not found:
            report.remarks.append(f"Not shown, because it has not run here: `{command}`.")
    return report
