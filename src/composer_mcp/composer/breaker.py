"""A circuit breaker: while the other side fails, leave it alone, and say for how long.

Closed, everything passes. It opens after a number of failures in a row, or when most of the recent calls
failed. Open, nothing passes. After a pause it is half open: one call at a time passes as a probe, and decides
whether it closes, or opens for twice as long. One breaker belongs to one process and one event loop.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from enum import StrEnum

import structlog

from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.observability import metrics

#: Calls are judged as a share only over so many of them, and no longer back than this.
SHARE_OF_CALLS = 20
SHARE_SECONDS = 30.0
FAILED_SHARE = 0.8

log = structlog.get_logger(__name__)
_chance = random.SystemRandom()


class State(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class Resting(Exception):
    """The call was not made; ``seconds`` is how long to wait before it may be, ``failures`` what was seen."""

    def __init__(self, seconds: int, failures: int) -> None:
        super().__init__(f"not tried again for {seconds} s after {failures} failures")
        self.seconds = seconds
        self.failures = failures


class Attempt:
    """One call that was let through. Unless it is told the outcome, it does not count."""

    def __init__(self) -> None:
        self.good: bool | None = None

    def succeeded(self) -> None:
        """The other side answered properly, be it with a refusal."""
        self.good = True

    def failed(self) -> None:
        """The other side did not answer properly."""
        self.good = False


class Breaker:
    """The breaker for one thing, which ``name`` calls in log and metrics."""

    def __init__(
        self, name: str, settings: ComposerSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.state = State.CLOSED
        self._settings = settings
        self._clock = clock
        self._in_a_row = 0
        self._recent: deque[tuple[float, bool]] = deque(maxlen=SHARE_OF_CALLS)
        self._pause = settings.breaker_pause_seconds
        self._until = 0.0
        self._probing = False
        # Shown from the beginning: an absent figure cannot be told from a healthy one.
        metrics.BREAKER_OPEN.labels(name).set(0)

    @contextlib.contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Let one call through; what it finds is told to the yielded :class:`Attempt`.

        Raises:
            Resting: the call must not be made now.
        """
        self._admit()
        probing = self.state is State.HALF_OPEN
        self._probing = self._probing or probing
        attempt = Attempt()
        try:
            yield attempt
        finally:
            if probing:
                self._probing = False
            if attempt.good is not None:
                self._learn(attempt.good, probing)

    def _admit(self) -> None:
        now = self._clock()
        if self.state is State.OPEN and now >= self._until:
            self._become(State.HALF_OPEN)
        if self.state is State.OPEN or (self.state is State.HALF_OPEN and self._probing):
            metrics.BREAKER_REFUSED.labels(self.name).inc()
            raise Resting(max(1, math.ceil(self._until - now)), self._in_a_row)

    def _learn(self, good: bool, probing: bool) -> None:
        # Calls that were under way when it opened say nothing new about whether it should close.
        if self.state is State.CLOSED:
            self._in_a_row = 0 if good else self._in_a_row + 1
            self._recent.append((self._clock(), good))
            if not good and (self._in_a_row >= self._settings.breaker_failures or self._mostly_fails()):
                self._open(self._settings.breaker_pause_seconds)
        elif probing and good:
            self._in_a_row = 0
            self._recent.clear()
            self._become(State.CLOSED)
        elif probing:
            self._in_a_row += 1
            self._open(min(self._pause * 2, self._settings.breaker_longest_pause_seconds))

    def _mostly_fails(self) -> bool:
        if len(self._recent) < SHARE_OF_CALLS or self._recent[0][0] < self._clock() - SHARE_SECONDS:
            return False
        return sum(not good for _, good in self._recent) >= FAILED_SHARE * SHARE_OF_CALLS

    def _open(self, pause: float) -> None:
        self._pause = pause
        # Up to a fifth longer by chance: workers that gave up together do not come back together.
        self._until = self._clock() + pause * (1 + _chance.random() / 5)
        self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self.state = state
        metrics.BREAKER_OPEN.labels(self.name).set(0 if state is State.CLOSED else 1)
        metrics.BREAKER_CHANGES.labels(self.name, state.value).inc()
        facts = {"breaker": self.name, "state": state.value, "failures": self._in_a_row}
        if state is State.OPEN:
            log.warning("breaker.changed", **facts, seconds=round(self._until - self._clock(), 1))
        else:
            log.info("breaker.changed", **facts)
