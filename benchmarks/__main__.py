"""python -m benchmarks [NAME …]: measure, print the tables, and keep them under benchmarks/results/.

Without a name all benches run, one after the other. A promise that does not hold is said, and is no error:
a busy machine is no defect. A bench that cannot be run is one, and the others are run all the same.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from benchmarks import browser, hosts, machine, overhead, protocol, queue, results, runs, tasks, tokens
from benchmarks.measure import Report

BENCHES: Mapping[str, Callable[[], Awaitable[Report]]] = {
    "protocol": protocol.run,
    "overhead": overhead.run,
    "tasks": tasks.run,
    "queue": queue.run,
    "tokens": tokens.run,
    "browser": browser.run,
    "hosts": hosts.run,
    "runs": runs.run,
}
LIMIT_SECONDS = 600.0
#: A thousand jobs in a row take as long as they take, and so do the peer's roles.
LIMITS = {"browser": 1800.0, "hosts": 3600.0}


def show(report: Report) -> None:
    """Print the promises and rows of a bench."""
    print(f"\n{report.title}")
    for promise in report.promises:
        sign = ">=" if promise.at_least else "<="
        verdict = "holds " if promise.holds else "MISSED"
        print(f"  {verdict} {promise.text}: {promise.value:.2f} {promise.unit} ({sign} {promise.limit:.2f})")
    what = max((len(row.what) for row in report.rows), default=0)
    who = max((len(row.who) for row in report.rows), default=0)
    for row in report.rows:
        figures = "  ".join(f"{name} {value:,.2f}" for name, value in row.figures.items())
        note = f"  (recorded {row.recorded})" if row.recorded else ""
        print(f"  {row.what:<{what}}  {row.who:<{who}}  {figures}{note}")
    for remark in report.remarks:
        print(f"  {remark}")


async def measure(name: str) -> Report:
    """Run one bench within its time."""
    async with asyncio.timeout(LIMITS.get(name, LIMIT_SECONDS)):
        return await BENCHES[name]()


def main(names: Sequence[str]) -> int:
    """Run the benches named, or all; 1 when one could not be run, 2 when one is not known."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"bench: there is no {', '.join(unknown)}; known: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    failed = []
    began = time.monotonic()
    for name in names or BENCHES:
        facts = machine.facts()
        try:
            report = asyncio.run(measure(name))
        except Exception as error:
            failed.append(name)
            print(f"bench {name} could not be run: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        show(report)
        print(f"  kept in {results.keep(report, facts).relative_to(results.FOLDER.parent.parent)}")
    page = results.PAGE.relative_to(results.FOLDER.parent.parent)
    print(f"\nbench: {time.monotonic() - began:.0f} s; all tables: {page}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
