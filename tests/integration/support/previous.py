"""The release before, as it was: unpacked, and run with this release's dependencies."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

from .installation import Platform
from .processes import Process, run

ARCHIVE = Path(__file__).parents[1] / "previous" / "schema-4.tar.xz"
VERSION = 4


class PreviousRelease:
    """Starts its processes on a platform of the tests."""

    def __init__(self, folder: Path, platform: Platform) -> None:
        self._platform = platform
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
        self._source = folder / "src"
        self._worker = folder / "tests" / "integration" / "support" / "tame_worker.py"

    def _command(self, *words: str) -> list[str]:
        program = [sys.executable, "-P", "-m", "composer_mcp"]
        return [*program, *self._platform.command(*words)[1:]]

    def migrate(self) -> str:
        return run(["/usr/bin/env", f"PYTHONPATH={self._source}", *self._command("migrate", "--json")])

    def start_web(self) -> Process:
        bind = f"127.0.0.1:{self._platform.port}"
        command = self._command("serve", "--plain-text", "--bind", bind)
        return self._platform.start(command, "ASGI server listening", PYTHONPATH=str(self._source))

    def start_worker(self) -> Process:
        command = [sys.executable, "-P", str(self._worker), *self._platform.tame_worker_command()[3:]]
        return self._platform.start(
            command, "worker.ready", PYTHONPATH=str(self._source), TAME_FOLDER=str(self._platform.tame)
        )
