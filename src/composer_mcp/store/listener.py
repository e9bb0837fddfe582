"""Hears what other processes announce through PostgreSQL: one listening connection per process.

An announcement is a hint and never the news itself: those made while the connection was away are lost, so
whoever listens is told after each (re)connection to look for himself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from composer_mcp.store.database import UNREACHABLE

RECONNECT_SECONDS = (0.2, 0.5, 1.0, 2.0)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ear:
    """Who is told of one channel: ``heard`` gets each payload, ``connected`` is called after a gap."""

    channel: str
    heard: Callable[[str], None]
    connected: Callable[[], None]


class Listener:
    """Listens on all channels of its ears, and connects again whenever the connection is lost."""

    def __init__(self, options: dict[str, Any], ears: Sequence[Ear]) -> None:
        self._options = options
        self._ears = ears

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Listen until the context is left."""
        task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(self) -> None:
        failures = 0
        while True:
            lost = asyncio.Event()
            try:
                connection = await asyncpg.connect(**self._options)
                try:
                    connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
                    for ear in self._ears:
                        await connection.add_listener(ear.channel, _relay(ear))
                    failures = 0
                    for ear in self._ears:
                        ear.connected()
                    await lost.wait()
                finally:
                    connection.terminate()
            except (*UNREACHABLE, asyncpg.PostgresError) as error:
                # Also what only an operator can put right, such as a changed password: once he has, who waits
                # here is told again.
                log.warning("listener.failed", error=repr(error), failures=failures)
            await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
            failures += 1


def _relay(ear: Ear) -> Callable[[object, int, str, object], None]:
    def relay(_connection: object, _process: int, _channel: str, payload: object) -> None:
        ear.heard(str(payload))

    return relay
