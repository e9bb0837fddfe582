"""python -m tools.testrun: every layer, or the ones named.

python -m tools.testrun                                  all layers
python -m tools.testrun unit lint                        these two
python -m tools.testrun unit tests/unit/mcp -k token     pytest's arguments after the layer
python -m tools.testrun molecule firewall haproxy        these scenarios
python -m tools.testrun lint mypy                        one checker
python -m tools.testrun --leave-out site="no containers on this machine"
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.testrun.context import Context
from tools.testrun.layers import LAYERS, needs, run_layer
from tools.testrun.report import Console, Item, LayerReport, Outcome, results, summary

ROOT = Path(__file__).resolve().parents[2]
INTERRUPTED = 130


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Layers first, then what belongs to the last of them.

    After `molecule` every word is a scenario, because scenarios may be called like a layer.

    Raises:
        ValueError: arguments for several layers at once.
    """
    layers: list[str] = []
    rest = list(words)
    while rest and rest[0] in LAYERS and layers[-1:] != ["molecule"]:
        layers.append(rest.pop(0))
    if rest and len(layers) != 1:
        raise ValueError(
            f"{rest[0]!r} is no layer; there are: {', '.join(LAYERS)}. Arguments go with exactly one layer."
        )
    return layers or list(LAYERS), rest


def left_out(pairs: Sequence[str]) -> dict[str, str]:
    """`layer=reason`, as given on the command line.

    Raises:
        ValueError: an unknown layer, or no reason.
    """
    result = {}
    for pair in pairs:
        layer, _, reason = pair.partition("=")
        if layer not in LAYERS or not reason.strip():
            raise ValueError(
                f"--leave-out takes LAYER=REASON, one of {', '.join(LAYERS)} and why; got {pair!r}"
            )
        result[layer] = reason.strip()
    return result


async def run(
    context: Context, layers: Sequence[str], reasons: dict[str, str], arguments: Sequence[str]
) -> int:
    """Run the layers in order and print the summary, also after Ctrl-C."""
    reports: list[LayerReport] = []
    running = ""
    try:
        # Downloads and image builds go on while the first layers, which need neither, use the processors.
        for name in layers:
            if name not in reasons:
                context.start_preparing(name, needs(name))
        for running in layers:
            if running in reasons:
                log = context.logs / f"{running}.log"
                reports.append(LayerReport(running, log, left_out=reasons[running]))
            else:
                reports.append(await run_layer(context, running, arguments))
    except asyncio.CancelledError:
        stopped = Item("stopped by Ctrl-C", Outcome.FAILED, detail="what it had started has been ended")
        reports.append(LayerReport(running, context.logs / f"{running}.log", items=[stopped]))
        context.console.show(summary(reports))
        raise
    context.logs.mkdir(parents=True, exist_ok=True)
    for report in reports:
        (context.logs / f"{report.name}.json").write_text(results([report]), encoding="utf-8")
    context.console.show(summary(reports))
    return 1 if any(report.failures for report in reports) else 0


def main(words: Sequence[str]) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.testrun",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--leave-out", action="append", default=[], metavar="LAYER=REASON")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="[LAYER …] [ARGUMENTS]")
    options = parser.parse_args(words)
    try:
        layers, arguments = split(options.words)
        reasons = left_out(options.leave_out)
    except ValueError as error:
        parser.error(str(error))
    # A shell's background job ignores Ctrl-C, and so would what it starts: pytest could not be asked to end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return asyncio.run(run(Context(ROOT, Console(sys.stdout)), layers, reasons, arguments))
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
