"""How long we go on trying: a number of tries, growing pauses with jitter, and a limit of time for all.

Beside the patience of each call there is one budget of repetitions for the whole process: when everything
fails, repetitions stay a fraction of the calls, so that we do not multiply an outage.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.observability import metrics

#: What an idle process gets back of its budget, repetitions a second.
REFILL = 0.5

_chance = random.SystemRandom()


class RetryBudget:
    """Repetitions that the process may still make: some in reserve, and a share of each call that is made."""

    def __init__(self, settings: ComposerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._reserve = float(settings.retry_reserve)
        self._share = settings.retry_share
        self._clock = clock
        self._balance = self._reserve
        self._since = clock()

    def call_begins(self) -> None:
        """Count the first try of a call."""
        self._add(self._share)

    def take(self) -> bool:
        """Take one repetition; return whether there was one."""
        self._add(0)
        if self._balance < 1:
            metrics.RETRIES_REFUSED.inc()
            return False
        self._balance -= 1
        return True

    def _add(self, amount: float) -> None:
        now = self._clock()
        self._balance = min(self._reserve, self._balance + amount + (now - self._since) * REFILL)
        self._since = now


class Patience:
    """Counts the tries of one thing."""

    def __init__(self, settings: ComposerSettings, budget: RetryBudget) -> None:
        self._settings = settings
        self._budget = budget
        self._started = time.monotonic()
        self.tries = 0

    def begin(self) -> None:
        """Count a try."""
        self.tries += 1
        if self.tries == 1:
            self._budget.call_begins()

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
        if not self._budget.take():
            return False
        await asyncio.sleep(delay)
        return True
