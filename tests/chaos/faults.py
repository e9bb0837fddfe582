"""What goes wrong with processes, disks, networks and clocks, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from . import hostile, pages
from .callers import BROKEN, call_tool, lesson
from .stage import Stage

AWAY_SECONDS = 30.0
FROZEN_SECONDS = 8.0
STORE_AWAY_SECONDS = 10.0
FULL_SECONDS = 20.0
LEAVERS = 12


@dataclass(frozen=True, slots=True)
class Fault:
    """``strike`` does it, and mends it again where nothing else would; it returns a remark, or nothing.

    Raises:
        Broken: something happened that must not.
    """

    name: str
    strike: Callable[[Stage], Awaitable[str]]


def _one_of(*names: str) -> str:
    return random.choice(names)


async def web_killed(stage: Stage) -> str:
    """A web process and its helper vanish; HAProxy finds out by itself."""
    stage.kill(_one_of("web1", "web2"))
    return ""


async def worker_killed(stage: Stage) -> str:
    """A worker vanishes with all its jobs; its browser finds out by itself."""
    stage.kill(_one_of("worker1", "worker2"))
    return ""


async def host_killed(stage: Stage) -> str:
    """A web process and a worker vanish at the same moment, with the browser: a host without power."""
    browsers = set(stage.browsers()) & set(stage.family("worker1"))
    for process in [*browsers, *stage.family("worker1")]:
        stage.signal_one(process, signal.SIGKILL)
    stage.kill("web1")
    return ""


async def browser_killed(stage: Stage) -> str:
    """The main process of each browser ends."""
    found = stage.browsers()
    for process in found:
        stage.signal_one(process, signal.SIGKILL)
    return f"{len(found)} browsers"


async def renderer_killed(stage: Stage) -> str:
    """All pages crash."""
    found = stage.browsers(kind=b"renderer")
    for process in found:
        stage.signal_one(process, signal.SIGKILL)
    return f"{len(found)} renderers"


async def worker_frozen(stage: Stage) -> str:
    """A worker stands still for longer than others wait for it, then goes on as if nothing had been."""
    process = stage.processes["worker1"].pid
    stage.signal_one(process, signal.SIGSTOP)
    try:
        await asyncio.sleep(FROZEN_SECONDS)
    finally:
        stage.signal_one(process, signal.SIGCONT)
    return f"{FROZEN_SECONDS:.0f} s"


async def web_frozen(stage: Stage) -> str:
    """A web process stands still: its health check fails, its callers wait."""
    stage.signal_all("web2", signal.SIGSTOP)
    try:
        await asyncio.sleep(FROZEN_SECONDS)
    finally:
        stage.signal_all("web2", signal.SIGCONT)
    return f"{FROZEN_SECONDS:.0f} s"


async def database_restarted(stage: Stage) -> str:
    """PostgreSQL is ended without a word to anybody, and started at once."""
    await asyncio.to_thread(stage.postgres.stop)
    await asyncio.to_thread(stage.postgres.start)
    return ""


async def database_away(stage: Stage) -> str:
    """PostgreSQL is away for a while."""
    await asyncio.to_thread(stage.postgres.stop)
    await asyncio.sleep(AWAY_SECONDS)
    await asyncio.to_thread(stage.postgres.start)
    return f"{AWAY_SECONDS:.0f} s"


async def disk_full(stage: Stage) -> str:
    """The disk of the database's tables has not a byte left, until somebody makes room."""
    await asyncio.to_thread(stage.disk.fill)
    try:
        await asyncio.sleep(FULL_SECONDS)
    finally:
        await asyncio.to_thread(stage.disk.free)
    return f"{FULL_SECONDS:.0f} s"


async def store_away(stage: Stage) -> str:
    """The object store accepts connections and says nothing."""
    stage.seaweed.freeze()
    try:
        await asyncio.sleep(STORE_AWAY_SECONDS)
    finally:
        stage.seaweed.thaw()
    return f"{STORE_AWAY_SECONDS:.0f} s"


async def composer_fails(stage: Stage) -> str:
    """Composer answers every request with an error, and loses answers to what it has saved."""
    stage.standin.provoke("*", status=503, rate=0.7)
    stage.standin.provoke("create", action="drop", after_saving=True, times=4)
    try:
        await asyncio.sleep(STORE_AWAY_SECONDS)
    finally:
        stage.standin.calm()
    return f"{STORE_AWAY_SECONDS:.0f} s"


async def clients_leave(stage: Stage) -> str:
    """Clients hang up in the middle of a call, then ask again under the same key: nothing was lost."""
    token = stage.issuer.token("leaver", sub="leaver")

    async def leave(number: int) -> None:
        title = f"{stage.mark} left {number}"
        arguments = {"lesson": lesson(title), "idempotency_key": title.replace(" ", "-")}
        with contextlib.suppress(*BROKEN):
            async with asyncio.timeout(random.uniform(0.05, 0.4)):
                await call_tool(stage, token, "create_composition", arguments)
        for _number in range(20):
            with contextlib.suppress(*BROKEN):
                result = await call_tool(stage, token, "create_composition", arguments)
                if not result.is_error:
                    return
            await asyncio.sleep(0.5)
        raise hostile.Broken(f"the call {title} was never answered")

    await asyncio.gather(*(leave(number) for number in range(LEAVERS)))
    return f"{LEAVERS} clients"


async def clock_jumps(stage: Stage) -> str:
    """One worker's wall clock is an hour fast, then an hour slow, then right again."""
    try:
        for hours in (1, -1):
            stage.clock.set(hours)
            await asyncio.sleep(FROZEN_SECONDS)
    finally:
        stage.clock.set(0)
    return "1 h forward, 1 h back"


FAULTS = (
    Fault("kill -9 of a web process", web_killed),
    Fault("kill -9 of a worker", worker_killed),
    Fault("kill -9 of the browsers", browser_killed),
    Fault("kill -9 of all renderers", renderer_killed),
    Fault("a host without power", host_killed),
    Fault("worker frozen and woken", worker_frozen),
    Fault("web process frozen and woken", web_frozen),
    Fault("PostgreSQL restarted", database_restarted),
    Fault("PostgreSQL away", database_away),
    Fault("disk of the database full", disk_full),
    Fault("object store silent", store_away),
    Fault("Composer fails", composer_fails),
    Fault("clock jumps", clock_jumps),
    Fault("clients leave in the middle", clients_leave),
    Fault("ten times the load the queue holds", hostile.flood),
    Fault("tokens nobody should accept", hostile.bad_tokens),
    Fault("signing key rotated, keys away", hostile.keys_change),
    Fault("a page that hangs", pages.hangs),
    Fault("a page that allocates without end", pages.allocates),
    Fault("a page that opens windows", pages.opens_windows),
    Fault("a page that downloads", pages.downloads),
)
