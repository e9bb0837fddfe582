"""Failures on request, and the few that the original shows by itself.

A fault belongs to a named route (``*``: all) and acts before or after the request had its effect.
"""

from __future__ import annotations

import asyncio
import functools
import random
import struct
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

#: Of a member that tells neither a name nor a time (RFC 1952).
GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
#: Routes on which the original was seen to answer 500 now and then: every so many calls.
OCCASIONAL = {"user_me": 7, "project": 7, "save_version": 7}


class Dropped(Exception):
    """The connection is to break without an answer."""


@dataclass
class Fault:
    """What goes wrong on a route; ``times`` counts down, none means until it is removed.

    ``skip`` calls are left alone first. ``endless`` never stops sending, ``bomb`` is small and unpacks to
    200 MB, ``blank`` and ``page`` are HTML where JSON is wanted, ``away`` sends on to ``location``.
    """

    route: str
    action: Literal["error", "drop", "none", "blank", "page", "away", "endless", "bomb"] = "error"
    status: int = 500
    location: str = "https://elsewhere.example/"
    skip: int = 0
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
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def response(self) -> Response | None:
        """Return what is answered instead, or nothing if only time was lost."""
        match self.action:
            case "error":
                return JSONResponse({"success": False, "message": "Internal error"}, self.status)
            case "blank":
                return HTMLResponse("")
            case "page":
                return HTMLResponse("<!doctype html><title>Composer</title><p>Em manutenção</p>")
            case "away":
                return Response(status_code=302, headers={"Location": self.location})
            case "endless":
                return StreamingResponse(_endless(), media_type="application/json")
            case "bomb":
                headers = {"Content-Encoding": "gzip"}
                return Response(_bomb(), media_type="application/json", headers=headers)
            case "drop":
                raise Dropped(self.route)
            case _:
                return None


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 65536
        await asyncio.sleep(0)


@functools.cache
def _bomb() -> bytes:
    """One packed megabyte again and again: packing them all would keep everybody waiting for a second."""
    packer, megabyte = zlib.compressobj(wbits=-zlib.MAX_WBITS), bytes(1_000_000)
    packed = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = functools.reduce(lambda so_far, _: zlib.crc32(megabyte, so_far), range(200), 0)
    end = packer.flush() + struct.pack("<II", checksum, 200 * len(megabyte))
    return GZIP_HEADER + 200 * packed + end


@dataclass
class Faults:
    """All faults in force, and how often each route was called; ``texts`` are shown instead of others."""

    occasional: bool = True
    search_lag: float = 0.0
    texts: dict[str, str] = field(default_factory=dict)
    active: list[Fault] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    holding: Counter[str] = field(default_factory=Counter)

    async def before(self, route: str) -> Response | None:
        """Count the call; return what to answer instead of doing it, or nothing."""
        self.calls[route] += 1
        response = await self._strike(route, after_saving=False)
        if response is None and self.occasional and self.calls[route] % OCCASIONAL.get(route, 10**9) == 0:
            return Fault(route).response()
        return response

    async def after(self, route: str) -> Response | None:
        """Return what to answer although the request had its effect, or nothing."""
        return await self._strike(route, after_saving=True)

    async def _strike(self, route: str, after_saving: bool) -> Response | None:
        for fault in self.active:
            if not fault.applies(route, after_saving):
                continue
            if fault.latency:
                self.holding[route] += 1
                await asyncio.sleep(fault.latency)
                self.holding[route] -= 1
            response = fault.response()
            if response is not None:
                return response
        return None

    def report(self) -> dict[str, Any]:
        """Return everything, for the control switch."""
        return {
            "occasional": self.occasional,
            "search_lag": self.search_lag,
            "texts": self.texts,
            "active": [asdict(fault) for fault in self.active],
            "calls": dict(self.calls),
            "holding": dict(self.holding),
        }
