"""A state directory with an engine of a server that runs alone, whose work is tame."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from composer_mcp.errors import COMPOSER_UNAVAILABLE, NO_HEADING
from composer_mcp.jobs.attempt import Resources
from composer_mcp.jobs.embedded_engine import EmbeddedJobEngine
from composer_mcp.jobs.requests import (
    AnyRequest,
    AnyResult,
    CompositionRead,
    CompositionSaved,
    CreateComposition,
)
from composer_mcp.jobs.work import InputNeeded, Work
from composer_mcp.settings import Credentials, Settings
from composer_mcp.store.artifacts import ArtifactStore
from composer_mcp.store.sqlite import Sqlite
from composer_mcp.store.sqlite_compositions import SqliteCompositions
from tests.unit.audit.trails import kept_trail


class House:
    """A state directory whose engine may be started and stopped; what a job does is said by its uid."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "composer.sqlite3"
        self.folder = folder
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.stopped: list[str] = []
        self.has_stopped = asyncio.Event()
        self.broken = asyncio.Event()
        self.release = asyncio.Event()
        self.attempts: list[tuple[str, int]] = []

    def settings(self, **sections: Any) -> Settings:
        composer = {"project_uid": "p", "connector_uid": "c"}
        return Settings(**{"composer": composer, "state_directory": str(self.folder)} | sections)

    @contextlib.asynccontextmanager
    async def engine(self, grace: float = 0.2, **sections: Any) -> AsyncIterator[EmbeddedJobEngine]:
        async with Sqlite.open(self.database) as database:
            engine = EmbeddedJobEngine(database, self.settings(**sections), self.broken)
            artifacts = ArtifactStore.open(self.settings().object_store, Credentials(None))
            resources = Resources(composer=None, browsers=None, artifacts=artifacts)
            compositions = SqliteCompositions(database)
            async with (
                kept_trail(database) as trail,
                engine.run(self.handle, resources, compositions, trail, grace_seconds=grace),
            ):
                yield engine

    async def handle(self, request: AnyRequest, work: Work) -> AnyResult:
        told = request.lesson.title if isinstance(request, CreateComposition) else request.uid
        verb, _, argument = told.partition("-")
        self.attempts.append((told, work.attempt))
        self.begun.put_nowait(told)
        await work.progress(0.5, "half")
        try:
            match verb:
                case "hold":
                    await self.release.wait()
                case "fail":
                    raise (COMPOSER_UNAVAILABLE if argument == "passing" else NO_HEADING).error()
                case "astray":
                    raise asyncio.CancelledError
                case "crash":
                    raise RuntimeError("unforeseen")
                case "ask":
                    missing = [key for key in argument.split(".") if key not in work.inputs]
                    if missing:
                        raise InputNeeded({key: {"message": f"{key}?"} for key in missing})
        except asyncio.CancelledError:
            self.stopped.append(told)
            self.has_stopped.set()
            raise
        await work.fence()
        document = {"attempt": work.attempt, "inputs": work.inputs}
        if isinstance(request, CreateComposition):
            return CompositionSaved(
                uid=told, url="https://x/", title=verb, version="1", widgets=1, created=True
            )
        return CompositionRead(uid=told, url="https://x/", title=verb, version="1", document=document)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            found = connection.execute(statement).fetchall()
            connection.commit()
            return found


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds, five seconds at most."""
    for _ in range(500):
        if await holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true within 5 s")


async def no_progress(fraction: float, message: str) -> None:
    """Nobody listens."""
