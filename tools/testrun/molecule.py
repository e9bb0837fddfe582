"""The Molecule layer: every scenario by itself, three at a time, each with its own log and scratch folder."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from tools.testrun.context import Context
from tools.testrun.report import Item, LayerReport, Outcome

LAYER = "molecule"
# Scenarios wait a lot, for hosts that boot, for clocks, for limits: three keep two processors busy.
WORKERS = 3
# By far the longest, which would be waited for at the end if they began last.
FIRST = ("certificates", "power_loss", "chromium", "hardening", "patch", "tls")
NEEDS = ("binaries", "bundle", "images")
SCENARIO_LIMIT_SECONDS = 1500.0
DESTROY_LIMIT_SECONDS = 60.0


def scenarios(root: Path) -> list[str]:
    """The names of all scenarios: the longest, then the others in alphabetical order."""
    names = sorted(path.parent.name for path in root.glob("molecule/*/molecule.yml"))
    return sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def choose(available: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The wanted scenarios, or all of them when none is named.

    Raises:
        LookupError: a name that no scenario has; the message lists those that exist.
    """
    unknown = sorted(set(wanted) - set(available))
    if unknown:
        existing = ", ".join(available) or "none"
        raise LookupError(f"there is no Molecule scenario called {', '.join(unknown)}; there are: {existing}")
    return list(wanted) or list(available)


async def run(context: Context, arguments: Sequence[str]) -> LayerReport:
    """Run the scenarios named, or all."""
    report = LayerReport(LAYER, context.logs / f"{LAYER}.log")
    try:
        chosen = choose(scenarios(context.root), arguments)
    except LookupError as error:
        report.items.append(Item("choose scenarios", Outcome.FAILED, detail=str(error)))
        return report
    failed = await context.prepare(LAYER, NEEDS)
    if failed:
        report.items += failed
        return report
    waiting: asyncio.Queue[str] = asyncio.Queue()
    for name in chosen:
        waiting.put_nowait(name)

    async def worker() -> None:
        while not waiting.empty():
            report.items.append(await _scenario(context, waiting.get_nowait()))

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(worker())
    return report


async def _scenario(context: Context, name: str) -> Item:
    log = context.logs / LAYER / f"{name}.log"
    log.unlink(missing_ok=True)
    scratch = context.root / ".cache/molecule" / name
    shutil.rmtree(scratch, ignore_errors=True)

    async def molecule(action: str, limit_seconds: float) -> Item:
        return await context.run(
            LAYER,
            name if action == "test" else f"{action} {name}",
            ["molecule", action, "--scenario-name", name],
            log=log,
            limit_seconds=limit_seconds,
            env={
                "MOLECULE_GLOB": "molecule/*/molecule.yml",
                "MOLECULE_EPHEMERAL_DIRECTORY": str(scratch),
            },
        )

    passed = False
    try:
        item = await molecule("test", SCENARIO_LIMIT_SECONDS)
        passed = item.outcome is Outcome.PASSED
        return item
    finally:
        # Molecule that is stopped, by Ctrl-C or by its limit, leaves its hosts running.
        if not passed:
            await molecule("destroy", DESTROY_LIMIT_SECONDS)
