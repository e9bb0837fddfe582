"""Records what callers do: each call of a tool, before it begins where it writes, and with its outcome.

A call that only reads is noted: it costs a caller nothing. Of a call that writes two entries tell: ``begun``
is on its way to the disk while its job is accepted, with the arguments; the second has the outcome, and is
on disk before the caller is answered.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Mapping
from contextvars import ContextVar
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from composer_mcp.audit.entry import Clean, Entry, now
from composer_mcp.observability.access import correlation_id
from composer_mcp.observability.masking import MASK, SENSITIVE_NAME, beginning
from composer_mcp.security import caller

if TYPE_CHECKING:
    from starlette.types import Scope

    from composer_mcp.audit.trail import AuditTrail
    from composer_mcp.security.caller import Caller

#: The address of the client of the request being answered.
source: ContextVar[str] = ContextVar("source", default="")

FORWARDED = b"x-forwarded-for"
#: Of arguments so much is kept: enough to tell what was asked for, too little to be a copy of it.
TEXT_LIMIT = 80
ITEMS_LIMIT = 8
ARGUMENTS_LIMIT = 1500
DEPTH = 3
#: So much of a name is looked at: the secret that its end would cut in two is still seen whole.
BEGINNING = 600


def address(scope: Scope, *, behind_edge: bool) -> str:
    """Return the address of a request's client.

    ``behind_edge`` says that only our edge can connect: it replaces whatever a client says of its address.
    Otherwise nobody's word is taken for it.
    """
    if behind_edge:
        for name, value in scope["headers"]:
            if name == FORWARDED:
                return _as_address(value)
    client = scope.get("client")
    return str(client[0]) if client else ""


@functools.lru_cache(maxsize=4096)
def _as_address(value: bytes) -> str:
    try:
        return str(ip_address(value.decode("latin-1").strip()))
    except ValueError:
        return "unknown"


@functools.lru_cache(maxsize=4096)
def actor(issuer: str, subject: str) -> str:
    """Return how a token's owner is called in the trail."""
    return f"{issuer} {subject}"


def entry(
    who: Caller, action: str, *, target: str = "", outcome: str = "ok", details: Mapping[str, Any]
) -> Entry:
    """Return the entry of something that the caller of the present request did."""
    return Entry(
        now(),
        who.tenant,
        actor(who.issuer, who.subject),
        action,
        target,
        outcome,
        source.get(),
        correlation_id.get(),
        details,
    )


class Call:
    """One call, from its beginning to its end."""

    __slots__ = ("_action", "_details", "_target", "_trail", "_who", "_writes")

    def __init__(
        self, trail: AuditTrail, action: str, *, target: str, arguments: Mapping[str, Any], writes: bool
    ) -> None:
        """Begin.

        Raises:
            audit_unavailable, audit_broken: the call must not be done.
        """
        trail.admit()
        self._trail = trail
        self._who = caller.current.get()
        self._action = action
        self._target = target
        self._writes = writes
        self._details = shown(arguments)
        if writes:
            trail.note(self._entry("begun", target), soon=True)
            self._details = Clean()

    async def end(self, outcome: str, target: str = "", **more: str) -> None:
        """Record how it ended; of a call that writes, on disk when this returns.

        Raises:
            store_unavailable, audit_broken: it is not on disk, so the caller must not be told of a success.
        """
        if more:
            self._details = Clean(self._details | more)
        ended = self._entry(outcome, target or self._target)
        if self._writes:
            await self._trail.record(ended)
        else:
            self._trail.note(ended)

    def left(self, error: BaseException) -> None:
        """Record that it ended by ``error`` before there was an answer; what was begun may go on."""
        outcome = "caller_left" if isinstance(error, asyncio.CancelledError) else "not_answered"
        self._trail.note(self._entry(outcome, self._target), soon=True)

    def _entry(self, outcome: str, target: str) -> Entry:
        return entry(self._who, self._action, target=target, outcome=outcome, details=self._details)


def shown(arguments: Mapping[str, Any]) -> Clean:
    """Return the beginning of what a caller sent, without secrets."""
    if not arguments:
        return Clean()
    left = [ARGUMENTS_LIMIT]
    return Clean({"arguments": _shown(arguments, 0, left)})


@functools.lru_cache(maxsize=4096)
def _name(name: str) -> tuple[str, bool]:
    """Return how a field is called, and whether its name tells that a secret is in it."""
    key = beginning(name, TEXT_LIMIT)
    return key, bool(SENSITIVE_NAME.search(key))


def _number(value: float | None) -> Any:
    """Return a number as the database can keep it: infinity is none to it, and some are endless."""
    if isinstance(value, int):
        return value if value.bit_length() < 64 else f"(a number of {value.bit_length()} bits)"
    return value if value is None or math.isfinite(value) else str(value)


def _shown(value: Any, depth: int, left: list[int]) -> Any:
    if isinstance(value, str):
        left[0] -= min(len(value), TEXT_LIMIT)
        text = beginning(value, TEXT_LIMIT)
        return text if len(value) <= TEXT_LIMIT else f"{text}… ({len(value)} characters)"
    if value is None or isinstance(value, bool | int | float):
        left[0] -= 8
        return _number(value)
    if isinstance(value, dict):
        if depth >= DEPTH or left[0] <= 0:
            return f"({len(value)} fields)"
        told: dict[str, Any] = {}
        for number, (name, item) in enumerate(value.items()):
            if left[0] <= 0 or number >= 2 * ITEMS_LIMIT:
                told["…"] = f"{len(value) - number} more"
                break
            key, tells = _name(str(name)[:BEGINNING])
            left[0] -= len(key)
            told[key] = MASK if tells else _shown(item, depth + 1, left)
        return told
    if isinstance(value, list | tuple):
        if depth >= DEPTH or left[0] <= 0:
            return f"({len(value)} items)"
        items = [_shown(item, depth + 1, left) for item in value[:ITEMS_LIMIT]]
        return [*items, f"… {len(value) - ITEMS_LIMIT} more"] if len(value) > ITEMS_LIMIT else items
    return _shown(str(value), depth, left)
