"""A real worker whose work is tame: no browser, no Composer. A program: ``tame_worker CONFIG CREDENTIALS``.

What a job does is said by the composition's uid, or by the title of a new one, ``verb-argument``:
``hold-NAME`` waits until it can read a byte from the pipe NAME in the folder ``$TAME_FOLDER``,
``sit-MILLISECONDS`` lasts so long, ``fail-CODE`` fails with that code, ``crash-x`` raises, ``chatty-N``
reports progress N times, ``ask-A.B`` asks a person for A and for B.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from composer_mcp.errors import ErrorCode
from composer_mcp.jobs.requests import (
    AnyRequest,
    AnyResult,
    CompositionRead,
    CompositionSaved,
    CreateComposition,
)
from composer_mcp.jobs.work import InputNeeded, Work
from composer_mcp.observability import process
from composer_mcp.settings import Credentials, load
from composer_mcp.store.artifacts import ArtifactStore

Handle = Callable[[AnyRequest, Work], Awaitable[AnyResult]]

log = structlog.get_logger("tame")


async def handle(request: AnyRequest, work: Work) -> AnyResult:
    try:
        return await _handle(request, work)
    except asyncio.CancelledError:
        # As a browser that is closed: it takes a few awaits.
        for _ in range(3):
            await asyncio.sleep(0.01)
        log.info("tame.stopped", job=str(work.job_id))
        raise


async def _handle(request: AnyRequest, work: Work) -> AnyResult:
    await work.progress(0.1, "begun")
    told = request.lesson.title if isinstance(request, CreateComposition) else request.uid
    verb, _, argument = told.partition("-")
    log.info("tame.begun", uid=told, attempt=work.attempt)
    match verb:
        case "hold":
            await asyncio.to_thread(_take_byte, Path(os.environ["TAME_FOLDER"]) / argument)
        case "sit":
            await asyncio.sleep(int(argument) / 1000)
        case "chatty":
            for step in range(int(argument)):
                await work.progress(step / int(argument), f"step {step}")
                await asyncio.sleep(0.01)
        case "ask":
            asked = {key: {"message": f"What is {key}?"} for key in argument.split(".")}
            if missing := {key: text for key, text in asked.items() if key not in work.inputs}:
                raise InputNeeded(missing)
        case "fail":
            raise ErrorCode.registry[argument].error()
        case "crash":
            raise RuntimeError("unforeseen, with access_token=abcdefgh12345678")
    await work.fence()
    if isinstance(request, CreateComposition):
        return CompositionSaved(
            uid=f"uid-{work.job_id}", url="https://composer.test/", title=told,
            version="1", widgets=1, created=True,
        )  # fmt: skip
    await work.progress(0.9, "nearly")
    document: dict[str, object] = {"attempt": work.attempt, "z": 1, "a": 2, **work.inputs}
    return CompositionRead(
        uid=request.uid, url="https://composer.test/", title=verb, version="1", document=document
    )


def _take_byte(path: Path) -> None:
    with path.open("rb", buffering=0) as pipe:
        pipe.read(1)


def main(handle: Handle = handle) -> None:
    settings = load(Path(sys.argv[1]))
    process.prepare(settings)
    from composer_mcp.jobs import worker
    from composer_mcp.jobs.attempt import Resources

    credentials = Credentials(Path(sys.argv[2]))
    artifacts = ArtifactStore.open(settings.object_store, credentials)
    resources = Resources(composer=None, browsers=None, artifacts=artifacts)
    asyncio.run(worker.run(settings, credentials, handle, resources))


if __name__ == "__main__":
    main()
