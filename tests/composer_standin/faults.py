"""Failures on request, and the few that the original shows by itself.

A fault belongs to a named route (``*``: all) and acts before or after the request had its effect.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

#: Routes on which the original was seen to answer 500 now and then: every so many calls.
OCCASIONAL = {"user_me": 7, "project": 7, "save_version": 7}


class Dropped(Exception):
    """The connection is to break without an answer."""


@dataclass
class Fault:
    """What goes wrong on a route; ``times`` counts down, none means until it is removed."""

    route: str
    action: Literal["error", "drop", "none"] = "error"
    status: int = 500
    times: int | None = None
    rate: float = 1.0
    latency: float = 0.0
    after_saving: bool = False

    def applies(self, route: str, after_saving: bool) -> bool:
        """Whether it strikes now; a strike is counted."""
        if self.route not in (route, "*") or self.after_saving != after_saving or self.times == 0:
            return False
        if self.rate < 1 and random.random() >= self.rate:
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class Faults:
    """All faults in force, and how often each route was called."""

    occasional: bool = True
    search_lag: float = 0.0
    active: list[Fault] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    holding: Counter[str] = field(default_factory=Counter)

    async def before(self, route: str) -> int | None:
        """Count the call; return the status to answer instead of doing it, or nothing."""
        self.calls[route] += 1
        status = await self._strike(route, after_saving=False)
        if status is None and self.occasional and self.calls[route] % OCCASIONAL.get(route, 10**9) == 0:
            return 500
        return status

    async def after(self, route: str) -> int | None:
        """Return the status to answer although the request had its effect, or nothing."""
        return await self._strike(route, after_saving=True)

    async def _strike(self, route: str, after_saving: bool) -> int | None:
        for fault in self.active:
            if not fault.applies(route, after_saving):
                continue
            if fault.latency:
                self.holding[route] += 1
                await asyncio.sleep(fault.latency)
                self.holding[route] -= 1
            if fault.action == "drop":
                raise Dropped(route)
            if fault.action == "error":
                return fault.status
        return None

    def report(self) -> dict[str, Any]:
        """Return everything, for the control switch."""
        return {
            "occasional": self.occasional,
            "search_lag": self.search_lag,
            "active": [asdict(fault) for fault in self.active],
            "calls": dict(self.calls),
            "holding": dict(self.holding),
        }
