"""Repeats what a database refused because it was away; a fail-over takes seconds, and callers can wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from composer_mcp.errors import STORE_UNAVAILABLE
from composer_mcp.store import database

T = TypeVar("T")

#: How long a call is repeated. A repetition is harmless: each names its key, its job or its attempt.
PATIENCE_SECONDS = 8.0


async def patiently(attempt: Callable[[], Awaitable[T]], state: str) -> T:
    """Repeat ``attempt`` while the database is away, for a few seconds.

    ``state`` tells the caller what is known of his request if it stays away.

    Raises:
        store_unavailable: it stayed away.
    """
    give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    pause = 0.05
    while True:
        try:
            return await attempt()
        except database.UNREACHABLE as error:
            if asyncio.get_running_loop().time() + pause > give_up:
                raise STORE_UNAVAILABLE.error(store="database", state=state) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
