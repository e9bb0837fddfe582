"""Records what comes over HTTP and is no call of a tool: who was turned away, calls of the admin API."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from composer_mcp.audit import calls
from composer_mcp.audit.calls import Call
from composer_mcp.audit.denials import Denials
from composer_mcp.errors import AUDIT_UNAVAILABLE, ComposerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from composer_mcp.audit.trail import AuditTrail
    from composer_mcp.security.caller import Caller

    Refuse = Callable[[ComposerError], ASGIApp]

READING = frozenset({"GET", "HEAD", "OPTIONS"})
#: Larger bodies of the admin API are no settings or accounts, and are named by their size.
BODY_LIMIT = 20_000


class Witness:
    """Sees the requests of one process.

    ``behind_edge`` is as in :func:`~composer_mcp.audit.calls.address`.
    """

    def __init__(self, *, behind_edge: bool = False) -> None:
        self._behind_edge = behind_edge
        self._trail: AuditTrail | None = None
        self._denials: Denials | None = None

    @contextlib.asynccontextmanager
    async def recording(self, trail: AuditTrail) -> AsyncIterator[None]:
        """Record into this trail for as long as the context lasts."""
        self._trail, self._denials = trail, Denials(trail)
        async with self._denials.run():
            yield

    @property
    def trail(self) -> AuditTrail:
        """The trail.

        Raises:
            audit_unavailable: the server is starting.
        """
        if self._trail is None:
            raise AUDIT_UNAVAILABLE.error(waiting=0)
        return self._trail

    @property
    def problem(self) -> str | None:
        """Why no call can be done, if that does not pass by itself."""
        return None if self._trail is None else self._trail.problem

    def sees(self, scope: Scope) -> None:
        """Keep in mind from where the present request comes."""
        calls.source.set(calls.address(scope, behind_edge=self._behind_edge))

    def denied(self, error: ComposerError) -> None:
        """Somebody was turned away at the door: without a token, or with one that is not good."""
        if self._denials is not None:
            reason = str(error.details.get("reason", ""))[:200]
            self._denials.saw(calls.source.get(), error.code.code, reason)

    def forbidden(self, who: Caller, action: str, error: ComposerError) -> None:
        """A known caller may not do what was asked for."""
        if self._trail is not None:
            details = {"reason": error.sentence}
            self._trail.note(calls.entry(who, action, outcome=error.code.code, details=details))

    async def record(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, body: bytes, refuse: Refuse
    ) -> None:
        """Have a request of the admin API answered; one that changes something is recorded before its answer.

        ``refuse`` makes the answer to an error.
        """
        parameters = {"query": scope["query_string"].decode("latin-1"), "body": _parsed(body)}
        try:
            call = Call(
                self.trail,
                f"admin.{scope['method'][:10]}",
                target=scope["path"],
                arguments={name: value for name, value in parameters.items() if value},
                writes=scope["method"] not in READING,
            )
        except ComposerError as error:
            await refuse(error)(scope, receive, send)
            return
        ended = withheld = False

        async def answer(message: Message) -> None:
            nonlocal ended, withheld
            if not ended:
                ended = True
                status = message["status"]
                try:
                    await call.end("ok" if status < 400 else f"http_{status}")
                except ComposerError as error:
                    # What was asked for may have been done; nobody is told so before it is recorded.
                    withheld = True
                    await refuse(error)(scope, receive, send)
            if not withheld:
                await send(message)

        try:
            await app(scope, receive, answer)
        except BaseException as error:
            if not ended:
                call.left(error)
            raise


def _parsed(body: bytes) -> Any:
    if len(body) > BODY_LIMIT:
        return f"({len(body)} bytes)"
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return "(not JSON)"
