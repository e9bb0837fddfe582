"""Waiting for what tells nobody that it has happened."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from .processes import START_SECONDS

PAUSE_SECONDS = 0.03


async def eventually(condition: Callable[[], object], seconds: float = START_SECONDS) -> None:
    """Ask in a thread until the answer is yes, with pauses: else we would keep busy whom we wait for.

    Raises:
        TimeoutError: it was no for so many seconds.
    """
    with anyio.fail_after(seconds):
        while True:
            if await anyio.to_thread.run_sync(condition):
                return
            await anyio.sleep(PAUSE_SECONDS)
