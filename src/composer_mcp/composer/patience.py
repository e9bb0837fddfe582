"""How long we go on trying: a number of tries, growing pauses with jitter, and a limit of time for all."""

from __future__ import annotations

import asyncio
import random
import time

from composer_mcp.composer.settings import ComposerSettings

_chance = random.SystemRandom()


class Patience:
    """Counts the tries of one thing."""

    def __init__(self, settings: ComposerSettings) -> None:
        self._settings = settings
        self._started = time.monotonic()
        self.tries = 0

    def begin(self) -> None:
        """Count a try."""
        self.tries += 1

    async def pause(self) -> bool:
        """Wait before the next try; return whether there may be one."""
        settings = self._settings
        longest = min(
            settings.retry_first_delay_seconds * 2 ** (self.tries - 1), settings.retry_longest_delay_seconds
        )
        # Half fixed, half random: workers that failed together do not come back together.
        delay = longest * (0.5 + _chance.random() / 2)
        spent = time.monotonic() - self._started
        if self.tries >= settings.attempts or spent + delay > settings.retry_budget_seconds:
            return False
        await asyncio.sleep(delay)
        return True
