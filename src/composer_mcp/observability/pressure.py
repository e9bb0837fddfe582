"""How hard this host works at present: for the operator, and as a weight for whoever distributes calls.

Asked often, so it must be cheap: everything is measured at most once a second. Nothing here decides anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from composer_mcp.observability import metrics
from composer_mcp.observability.metrics import QueueNow

CACHE_SECONDS = 1.0
#: How often the event loop's lateness is measured, and over how long the worst is kept.
LAG_EVERY_SECONDS = 0.25
LAG_KEPT_SECONDS = 10.0
#: Where each part counts as 0 and as 100; in between it rises evenly. A database that answers in 5 ms is
#: well, one that needs half a second delays everybody; above a tenth of a second of lag, callers feel it.
SCALES = {
    "database_seconds": (0.02, 0.5),
    "loop_lag_seconds": (0.02, 0.5),
    "load_per_core": (0.7, 3.0),
    "cpu_stalled_percent": (10.0, 80.0),
    "memory_stalled_percent": (1.0, 20.0),
    "queue_filled": (0.05, 1.0),
    "oldest_wait_of_deadline": (0.02, 0.5),
}
#: Those that say something of this host alone: the queue and the database are everybody's, and calls are not
#: served any sooner by sending them to another host.
OWN = ("loop_lag_seconds", "load_per_core", "cpu_stalled_percent", "memory_stalled_percent")

AskQueue = Callable[[], Awaitable[QueueNow | None]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the queue's figures are compared with: jobs that may wait, seconds after which one has failed."""

    jobs: int
    deadline_seconds: float


class Pressure:
    """Measures; one for each process that answers calls."""

    def __init__(self, ask: AskQueue, bounds: Bounds, proc: Path = Path("/proc")) -> None:
        self._ask = ask
        self._bounds = bounds
        self._proc = proc
        self._lock = asyncio.Lock()
        self._queue: QueueNow | None = None
        self._asked_at = self._answered_at = float("-inf")
        self._answer: dict[str, Any] = {}
        self._lags: deque[float] = deque(maxlen=round(LAG_KEPT_SECONDS / LAG_EVERY_SECONDS))

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Measure the event loop for as long as the context lasts."""

        async def look() -> None:
            while True:
                due = time.monotonic() + LAG_EVERY_SECONDS
                await asyncio.sleep(LAG_EVERY_SECONDS)
                self._lags.append(max(0.0, time.monotonic() - due))
                metrics.LOOP_LAG_SECONDS.set(max(self._lags))

        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def queue(self) -> QueueNow | None:
        """Return the queue as it was at most a second ago; ``None`` if that cannot be known now."""
        async with self._lock:
            if time.monotonic() - self._asked_at >= CACHE_SECONDS:
                self._queue = await self._ask()
                self._asked_at = time.monotonic()
            return self._queue

    async def now(self) -> dict[str, Any]:
        """Return how hard this host works, as it was at most a second ago.

        ``pressure`` runs from 0 to 100, and so does ``weight``, in the other direction: the share of calls
        that this host should get, as HAProxy's agent check takes it; ``why`` names what weighs most.
        """
        queue = await self.queue()
        if time.monotonic() - self._answered_at >= CACHE_SECONDS:
            self._answer = self._judge(queue)
            self._answered_at = time.monotonic()
        return self._answer

    def _judge(self, queue: QueueNow | None) -> dict[str, Any]:
        used, capacity = metrics.browser_contexts()
        cores = os.cpu_count() or 1
        values: dict[str, float | None] = {
            "database_seconds": None if queue is None else queue.answered_in_seconds,
            "loop_lag_seconds": max(self._lags, default=0.0),
            "load_per_core": self._load() / cores,
            "cpu_stalled_percent": self._stalled("cpu"),
            "memory_stalled_percent": self._stalled("memory"),
        }
        if queue is not None:
            values["queue_filled"] = queue.jobs["queued"] / self._bounds.jobs
            values["oldest_wait_of_deadline"] = queue.oldest_seconds / self._bounds.deadline_seconds
        parts = {name: _scaled(value, *SCALES[name]) for name, value in values.items() if value is not None}
        if queue is None:
            # Nothing can be accepted while the queue does not answer.
            parts["database_seconds"] = 100
        worst = max(parts, key=lambda name: parts[name])
        return {
            "pressure": parts[worst],
            "weight": max(1, 100 - max(parts.get(name, 0) for name in OWN)),
            "why": worst if parts[worst] else None,
            "queue": None
            if queue is None
            else {**queue.jobs, "limit": self._bounds.jobs, "oldest_seconds": round(queue.oldest_seconds, 1)},
            "browsers": {"in_use": used, "capacity": capacity},
            **{name: value if value is None else round(value, 4) for name, value in values.items()},
        }

    def _load(self) -> float:
        try:
            return float((self._proc / "loadavg").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return 0.0

    def _stalled(self, what: str) -> float | None:
        """Return for how much of the last 10 s somebody waited for it, in percent; ``None``: not known."""
        try:
            text = (self._proc / "pressure" / what).read_text()
            return float(text.split("avg10=", 1)[1].split(None, 1)[0])
        except (OSError, ValueError, IndexError):
            return None


def _scaled(value: float, calm: float, full: float) -> int:
    return round(100 * min(1.0, max(0.0, (value - calm) / (full - calm))))
