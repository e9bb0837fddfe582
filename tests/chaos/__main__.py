"""python -m tests.chaos [NAME …]: every fault, or those whose name contains one of the words, under load.

Prints a table and keeps it as ``benchmarks/results/chaos.md`` when all faults were run. Exit code 1 when a
call was lost, a composition doubled, a job left without an end, or a fault not recovered from.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

from .callers import CALLERS, Callers
from .faults import FAULTS, Fault
from .hostile import Broken
from .report import Line, Verdict, judged, table
from .stage import Stage, staged

KEPT = Path(__file__).parents[2] / "benchmarks" / "results" / "chaos.md"
WARM_UP_SECONDS = 60.0
RECOVERY_SECONDS = 90.0
#: Between two faults, so that what one has broken is whole again and counted as its own.
QUIET_SECONDS = 2.0
STRIKE_SECONDS = 240.0
REASONS, REASON_LENGTH = 3, 120
BEGAN = time.monotonic()


def say(text: str) -> None:
    """Tell what is going on, and since when."""
    print(f"chaos {time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


async def strike(stage: Stage, callers: Callers, fault: Fault) -> Line:
    """Let one fault happen and wait until every caller is served again."""
    say(fault.name)
    began, remark, broken = time.monotonic(), "", ""
    try:
        async with asyncio.timeout(STRIKE_SECONDS):
            remark = await fault.strike(stage)
    except (Broken, TimeoutError) as error:
        broken = f"{type(error).__name__}: {error}"
    healed = time.monotonic()
    recovery = await callers.ledger.recovered(healed, RECOVERY_SECONDS)
    await asyncio.sleep(QUIET_SECONDS)
    return Line(fault.name, began, time.monotonic(), recovery, broken or remark, is_broken=bool(broken))


def repeats(callers: Callers, line: Line) -> list[tuple[str, int]]:
    """The commonest reasons for which callers asked again while a fault lasted or was recovered from."""
    calls = callers.ledger.between(line.began, line.ended)
    return Counter(reason[:REASON_LENGTH] for call in calls for reason in call.reasons).most_common(REASONS)


async def run(faults: list[Fault]) -> Verdict:
    """Stage everything, and let the faults happen one after the other."""
    async with staged(say) as stage:
        callers = Callers(stage, stage.mark)
        callers.start()
        say(f"{CALLERS} callers begin; waiting for each to be served once")
        if await callers.ledger.recovered(time.monotonic(), WARM_UP_SECONDS) is None:
            return Verdict(
                [], [f"not every caller was served within {WARM_UP_SECONDS:.0f} s, without any fault"]
            )
        lines = []
        for fault in faults:
            line = await strike(stage, callers, fault)
            lines.append(line)
            recovered = "NOT RECOVERED" if line.recovery is None else f"recovered in {line.recovery:.1f} s"
            say(f"  {recovered}; {line.remark}")
            for reason, count in repeats(callers, line):
                say(f"  asked again {count} times: {reason}")
        say("waiting for the last calls")
        await callers.finish()
        return await judged(stage, callers.ledger, lines)


def main(words: list[str]) -> int:
    """Run and report."""
    faults = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    if not faults:
        print("chaos: no such fault. Known:", *(fault.name for fault in FAULTS), sep="\n  ", file=sys.stderr)
        return 2
    verdict = asyncio.run(run(faults))
    shown = table(verdict)
    print(shown)
    if not words:
        KEPT.write_text(shown + "\n", encoding="utf-8")
    return 1 if verdict.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
