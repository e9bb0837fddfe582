"""What the tasks extension and the subscription streams are given: this server's jobs, callers and lists."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import TYPE_CHECKING

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, CallToolResult

from composer_mcp.errors import INTERNAL
from composer_mcp.jobs.engine import JobRecord
from composer_mcp.mcp.listen import Audience, Listener
from composer_mcp.mcp.resources import COMPOSITIONS
from composer_mcp.mcp.results import sendable, tool_result
from composer_mcp.mcp.tasks import Backing, Tasks, TaskSupport
from composer_mcp.security import caller
from composer_mcp.store.compositions import short_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp.server.subscriptions import SubscriptionBus

    from composer_mcp.mcp.services import Services
    from composer_mcp.mcp.tasks.wire import Context
    from composer_mcp.store.compositions import CompositionRegistry

#: A change of more compositions than this at once is announced as a change of the list alone.
UPDATED_AT_ONCE = 100


def tasks(durable: Iterable[str]) -> Tasks:
    """Return the extension; the calls of the ``durable`` tools become tasks."""
    return Tasks(_backing, dict.fromkeys(durable, TaskSupport.OPTIONAL))


def listener(extension: Tasks, bus: SubscriptionBus, changing: Collection[str]) -> Listener:
    """Return the handler of ``subscriptions/listen``; ``changing`` is as in :class:`Listener`."""
    return Listener(extension, _audience, bus, changing=changing)


def _backing(context: Context) -> Backing:
    services: Services = context.lifespan_context
    who = caller.current.get()

    async def render(record: JobRecord) -> CallToolResult:
        return await _result(record, services)

    return Backing(services.engine, who.tenant, render, may_follow=who.may_use("get_job"))


async def _result(record: JobRecord, services: Services) -> CallToolResult:
    """Return what the tool answers, or raise what the protocol calls an error: our own failure."""
    if record.error is not None and record.error.get("code") == INTERNAL.code:
        error = sendable(record.error | {"job_id": str(record.id)})
        raise MCPError(INTERNAL_ERROR, f"{error['message']} {error['remedy']}", error)
    return await tool_result(record, services)


def _audience(context: Context) -> Audience:
    services: Services = context.lifespan_context
    who = caller.current.get()
    return Audience(
        name=f"{who.issuer} {who.tenant} {who.subject}",
        seconds=max(0.0, who.expires_at - time.time()),
        stopping=services.stopping,
        changes=lambda: _changes(services.compositions, who.tenant),
    )


async def _changes(registry: CompositionRegistry, tenant: str) -> AsyncIterator[Collection[str]]:
    """Yield the addresses of the compositions that changed, at each change of the tenant's list."""
    changes = registry.changes(tenant)
    # Listening begins before the first look, so that nothing falls between the two.
    coming = asyncio.ensure_future(anext(changes))
    try:
        known = await _moments(registry, tenant)
        while True:
            await coming
            coming = asyncio.ensure_future(anext(changes))
            now = await _moments(registry, tenant)
            changed = [uid for uid, moment in now.items() if known.get(uid) != moment]
            # A client knows a composition by one of the two, and follows it under that name.
            yield [COMPOSITIONS + name for uid in changed for name in (uid, short_id(uid))]
            known = now
    finally:
        coming.cancel()


async def _moments(registry: CompositionRegistry, tenant: str) -> dict[str, datetime]:
    return {entry.uid: entry.updated_at for entry in await registry.search(tenant, limit=UPDATED_AT_ONCE)}
