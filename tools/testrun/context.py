"""What every layer needs: where things are, how to run a program, and the preparations that layers share."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.testrun import process
from tools.testrun.report import Console, Item, Outcome, tail

# Modules that make something several layers use. Each is safe to run again and quick when nothing is to do.
PREPARATIONS: Mapping[str, tuple[str, ...]] = {
    "binaries": ("tools.artifacts",),
    "bundle": ("tools.bundle",),
    "images": ("lab.images",),
    "node": ("tools.node",),
}
PREPARATION_LIMIT_SECONDS = 1500.0


def environment(root: Path) -> dict[str, str]:
    """The environment of every program of a test run."""
    return {
        **os.environ,
        "PATH": f"{root / '.venv/bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        "PYTHONUNBUFFERED": "1",
        # no colour codes in logs
        "NO_COLOR": "1",
        "PY_COLORS": "0",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        # roles must not lean on injected fact variables: they go away in a later ansible-core
        "ANSIBLE_INJECT_FACT_VARS": "false",
    }


@dataclass(slots=True)
class Context:
    """One test run."""

    root: Path
    console: Console
    env: dict[str, str] = field(default_factory=dict)
    _prepared: dict[str, asyncio.Task[Item]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env = self.env or environment(self.root)

    @property
    def logs(self) -> Path:
        """Where every layer leaves its log."""
        return self.root / ".cache/test"

    def python(self, *words: str) -> list[str]:
        """A command of this same interpreter: `python -m …`."""
        return [sys.executable, "-m", *words]

    async def run(
        self,
        layer: str,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        limit_seconds: float,
        env: Mapping[str, str] | None = None,
    ) -> Item:
        """Run one program as one item, with a line when it starts and one when it ends."""
        self.console.say(layer, f"{name} …")
        program = process.Program(name, command, self.root, limit_seconds, {**self.env, **(env or {})})
        code, seconds = await process.run(program, log, layer, self.console)
        if code == 0:
            self.console.say(layer, f"{name}: passed in {seconds:.1f} s")
            return Item(name, Outcome.PASSED, seconds)
        detail = failure_sentence(code, command, limit_seconds)
        self.console.say(layer, f"{name}: FAILED after {seconds:.1f} s, {detail}; the end of {log}:")
        self.console.show(tail(log))
        return Item(name, Outcome.FAILED, seconds, detail)

    def start_preparing(self, layer: str, names: Sequence[str]) -> None:
        """Begin, in the background, what a layer will stand on; what has begun already is left alone."""
        for name in names:
            if name not in self._prepared:
                self._prepared[name] = asyncio.create_task(self._prepare(layer, name))

    async def prepare(self, layer: str, names: Sequence[str]) -> list[Item]:
        """Wait for what the layer stands on, made once per test run; the failed preparations come back."""
        self.start_preparing(layer, names)
        failed = []
        for name in names:
            item = await self._prepared[name]
            if item.outcome is Outcome.FAILED:
                failed.append(item)
        return failed

    async def _prepare(self, layer: str, name: str) -> Item:
        log = self.logs / f"prepare-{name}.log"
        log.unlink(missing_ok=True)
        return await self.run(
            layer,
            f"prepare {name}",
            self.python(*PREPARATIONS[name]),
            log=log,
            limit_seconds=PREPARATION_LIMIT_SECONDS,
        )


def failure_sentence(code: int, command: Sequence[str], limit_seconds: float) -> str:
    """What an exit code means to the reader of the summary."""
    if code == process.TIMED_OUT:
        return f"stopped at its limit of {limit_seconds:.0f} s"
    if code == process.NOT_FOUND:
        return f"{command[0]} is not installed: run `make setup`"
    return f"exit code {code}"
