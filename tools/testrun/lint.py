"""The lint layer: one item per checker, two at a time; the slow run of ansible-test comes last, alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import corescheck
from tools.testrun.context import Context
from tools.testrun.report import LayerReport
from tools.tracked import ROOT, tracked

LAYER = "lint"
WORKERS = 2
TYPED = ("src/composer_mcp", "tools", "lab", "demo", "benchmarks")


@dataclass(frozen=True, slots=True)
class Checker:
    """A program that reads the project and says what is wrong with it."""

    name: str
    command: Sequence[str]
    limit_seconds: float = 300.0


def shell_scripts() -> list[str]:
    """Every file of the project that a shell runs."""
    return [name for name in tracked() if _is_shell(ROOT / name)]


def _is_shell(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline(128)
    return first.startswith(b"#!") and first.rstrip().endswith(b"sh")


def checkers(context: Context) -> list[Checker]:
    """All checkers, the slow ones first so that the quick ones fill the gaps."""
    python, root = context.python, context.root
    typed = [name for name in TYPED if (root / name).is_dir() and any((root / name).glob("*.py"))]
    return [
        Checker("ansible-lint", ["ansible-lint", "--offline", "--strict", "--profile", "production"], 600),
        Checker("mypy", ["mypy", *typed]),
        Checker("ruff", ["ruff", "check", "."]),
        Checker("ruff format", ["ruff", "format", "--check", "."]),
        Checker("house rules", python("tools.housecheck")),
        Checker("documents", python("tools.doccheck")),
        Checker("yamllint", ["yamllint", "--strict", "."]),
        Checker("shellcheck", ["shellcheck", *shell_scripts()]),
        Checker("inventories", python("tools.inventorycheck")),
        Checker("role reference", python("tools.roledocs", "--check")),
        Checker("lesson reference", python("tools.lessondocs", "--check")),
        Checker("settings, metrics, errors", python("tools.opsdocs", "--check")),
        Checker("changelog", ["antsibull-changelog", "lint"]),
        Checker("plugin documents", _antsibull_docs()),
        Checker("collection install", python("tools.installcheck")),
    ]


def _antsibull_docs() -> list[str]:
    return ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--skip-rstcheck", "."]


async def run(context: Context, arguments: Sequence[str]) -> LayerReport:
    """Run the checkers named, or all."""
    report = LayerReport(LAYER, context.logs / f"{LAYER}.log")
    # The oldest core here, with which we run; the others with `make test-cores`.
    sanity = Checker("ansible-test", context.python("tools.corescheck", corescheck.CORES[0]), 1200)
    chosen = [one for one in checkers(context) if not arguments or one.name in arguments]
    places = asyncio.Semaphore(WORKERS)

    async def check(checker: Checker) -> None:
        async with places:
            log = context.logs / LAYER / f"{checker.name.replace(' ', '-')}.log"
            log.unlink(missing_ok=True)
            item = await context.run(
                LAYER, checker.name, checker.command, log=log, limit_seconds=checker.limit_seconds
            )
            report.items.append(item)
            with report.log.open("ab") as whole:
                whole.write(log.read_bytes())

    async with asyncio.TaskGroup() as group:
        for checker in chosen:
            group.create_task(check(checker))
    if not arguments or sanity.name in arguments:
        await check(sanity)
    return report
