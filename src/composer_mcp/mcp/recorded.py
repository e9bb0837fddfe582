"""What of the wire goes into the audit trail, and how it is called there.

Every call of a tool; of the other requests those that change something, or read a composition. Lists, prompts
and looks at a task's state show nothing that the caller did not make himself, and are in the log.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from mcp_types import CallToolResult, InputRequiredResult

from composer_mcp.audit.calls import Call
from composer_mcp.errors import ComposerError
from composer_mcp.mcp.resources import GUARDED, refused
from composer_mcp.security.caller import SCOPES
from composer_mcp.store.compositions import SHORT_CHARACTERS, short_id

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

    from composer_mcp.audit.trail import AuditTrail
    from composer_mcp.mcp.services import Services


class _Request(NamedTuple):
    action: str
    #: The parameter that names what it is about.
    about: str
    writes: bool


REQUESTS = {
    "resources/read": _Request("resource.read", "uri", False),
    "tasks/update": _Request("task.answer", "taskId", True),
    "tasks/cancel": _Request("task.cancel", "taskId", True),
}
#: Names of things in arguments and results, the first that is there counts.
NAMES = ("id", "uid", "job_id", "template_id")


@functools.lru_cache(maxsize=256)
def _action(tool: str) -> tuple[str, bool]:
    return f"tool.{tool}", SCOPES.get(tool, "").endswith(":write")


def tool(trail: AuditTrail, name: str, arguments: Mapping[str, Any]) -> Call:
    """Record that a call of a tool begins.

    Raises:
        audit_unavailable, audit_broken: it must not be done.
    """
    action, writes = _action(name[:100])
    return Call(trail, action, target=_named(arguments), arguments=arguments, writes=writes)


def outcome(counted: str) -> str:
    """Return how the trail calls an outcome that the metrics count."""
    return "ok" if counted == "succeeded" else counted


def made(result: CallToolResult | InputRequiredResult) -> str:
    """Return what a result is about, if it says so."""
    content = result.structured_content if isinstance(result, CallToolResult) else None
    return _named(content) if content else ""


def _named(content: Mapping[str, Any]) -> str:
    for name in NAMES:
        value = content.get(name)
        if isinstance(value, str) and value:
            return _short(value) if name in {"id", "uid"} else value
    return ""


@functools.lru_cache(maxsize=1024)
def _short(uid: str) -> str:
    """Return the short id of a composition, by which it is known also where its whole uid was given."""
    # An address ends with the uid.
    return uid if len(uid) <= SHORT_CHARACTERS else short_id(uid.rpartition("/")[2])


async def requests(ctx: ServerRequestContext[Services, Any], call_next: CallNext) -> HandlerResult:
    """Record a request that is no call of a tool; a middleware of the SDK's server."""
    known = REQUESTS.get(ctx.method)
    if known is None:
        return await call_next(ctx)
    about = str((ctx.params or {}).get(known.about, ""))
    if known.about == "uri" and not about.startswith(GUARDED):
        return await call_next(ctx)
    try:
        trail = ctx.lifespan_context.audit
        call = Call(trail, known.action, target=about, arguments={}, writes=known.writes)
    except ComposerError as error:
        raise refused(error) from error
    try:
        result = await call_next(ctx)
    except BaseException as error:
        call.left(error)
        raise
    try:
        await call.end("ok")
    except ComposerError as error:
        raise refused(error) from error
    return result
