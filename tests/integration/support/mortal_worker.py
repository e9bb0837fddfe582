"""A real worker, without a browser, that dies at a given moment: ``mortal_worker CONFIG CREDENTIALS``.

``$DIES`` says when it kills itself: ``fetched`` when it has taken a job from the queue, ``before`` when it is
about to write to Composer, ``after`` when all is written and the end of the job is not; else it lives.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from composer_mcp.composer.api import ComposerApi
from composer_mcp.jobs import handlers, worker
from composer_mcp.jobs.attempt import Resources
from composer_mcp.jobs.postgres_table import PostgresJobTable
from composer_mcp.jobs.requests import AnyRequest, AnyResult
from composer_mcp.jobs.work import Work
from composer_mcp.observability import process
from composer_mcp.settings import Credentials, load
from composer_mcp.store.artifacts import ArtifactStore


def reach(moment: str) -> None:
    if os.environ["DIES"] == moment:
        os.kill(os.getpid(), signal.SIGKILL)


class MortalTable(PostgresJobTable):
    def claimed(self, entry: str, row: Mapping[str, Any]) -> None:
        reach("fetched")
        super().claimed(entry, row)


async def handle(request: AnyRequest, work: Work) -> AnyResult:
    async def fence() -> None:
        await work.fence()
        reach("before")

    result = await handlers.run(request, dataclasses.replace(work, fence=fence))
    reach("after")
    return result


async def serve(config: Path, folder: Path) -> None:
    settings, credentials = load(config), Credentials(folder)
    process.prepare(settings)
    token, project_key = (credentials.read(name) for name in ("composer-token", "composer-project-key"))
    async with ComposerApi(settings.composer, token, project_key) as composer:
        artifacts = ArtifactStore.open(settings.object_store, credentials)
        resources = Resources(composer=composer, browsers=None, artifacts=artifacts)
        await worker.run(settings, credentials, handle, resources)


if __name__ == "__main__":
    worker.PostgresJobTable = MortalTable
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
