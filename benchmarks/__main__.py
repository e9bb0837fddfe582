"""python -m benchmarks: the figures people ask about, as tables, and as JSON in .cache/bench/.

Measured now: Chromium's memory. Read from the last runs: the lab's phases and memory (`make lab`), the tasks
and seconds of its play, the seconds of each scenario (`make test-molecule`). What was never run is left out,
and the table says so.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import browser

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".cache/bench"
# From the recap of a play: what each host ran; `skipped` tasks cost next to nothing.
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s.*?skipped=(\d+)", re.MULTILINE)

Row = tuple[str, str, float, str]


def measure_browsers() -> Iterator[Row]:
    """Memory and times of each Chromium that is installed."""
    for executable in browser.BROWSERS:
        if not Path(executable).exists():
            continue
        for stage, mebibytes, milliseconds in browser.report(executable):
            name = Path(executable).name
            yield ("browser", f"{name}, {stage}", mebibytes, "MiB")
            yield (
                "browser",
                f"{name}, {stage}",
                milliseconds,
                "ms to start" if stage == "idle" else "ms each",
            )


def lab_runs() -> Iterator[Row]:
    """Seconds of each phase, memory and changes of the labs' last runs."""
    for figures in sorted(ROOT.glob(".lab*/out/timings.json")):
        lab = figures.parent.parent.name.lstrip(".")
        found = json.loads(figures.read_text(encoding="utf-8"))
        for phase, seconds in found["seconds"].items():
            yield (lab, f"phase {phase}", float(seconds), "s")
        yield (lab, "all phases", float(sum(found["seconds"].values())), "s")
        yield (lab, "memory of all hosts", sum(found["memory_bytes"].values()) / 2**20, "MiB")
        log = figures.with_name("site.log")
        if log.exists():
            for host, ok, changed, skipped in RECAP.findall(
                log.read_text(encoding="utf-8", errors="replace")
            ):
                yield (lab, f"{host}: tasks run", float(ok), f"{changed} changed, {skipped} skipped")


def test_runs() -> Iterator[Row]:
    """Seconds of each layer and each scenario of their last runs."""
    for path in sorted((ROOT / ".cache/test").glob("*.json")):
        for layer, found in json.loads(path.read_text(encoding="utf-8")).items():
            yield ("tests", f"layer {layer}", float(found["seconds"]), f"s, {len(found['items'])} items")
            if layer in ("molecule", "lint"):
                for item in sorted(found["items"], key=lambda one: -float(one["seconds"])):
                    yield (
                        "tests",
                        f"{layer} {item['name']}",
                        float(item["seconds"]),
                        f"s, {item['outcome']}",
                    )


def show(rows: Sequence[Row]) -> None:
    """Print one aligned table."""
    width = max((len(name) for _, name, _, _ in rows), default=0)
    group = ""
    for section, name, value, unit in rows:
        if section != group:
            print(f"\n{section}")
            group = section
        print(f"  {name:<{width}}  {value:10.1f} {unit}")


def main() -> int:
    """Gather, print, and keep for comparison."""
    print("bench: Chromium's memory …", flush=True)
    rows = [*measure_browsers(), *lab_runs(), *test_runs()]
    show(rows)
    missing = [
        command
        for command, found in (
            ("make lab", any(ROOT.glob(".lab*/out/timings.json"))),
            ("make test", any((ROOT / ".cache/test").glob("*.json"))),
        )
        if not found
    ]
    if missing:
        print(f"\nNot shown, because it has not run yet: {', '.join(missing)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / time.strftime("%Y-%m-%dT%H-%M-%S.json")
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(f"\nKept in {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
