"""The door of the HTTP side: a request's body within bounds, its token, and how a refusal is told.

What a caller may do behind the door is asked by whoever stands there: ``mcp.gate`` for tools, ``admin`` for
the admin API.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from composer_mcp.audit.requests import Witness
from composer_mcp.errors import (
    BODY_INCOMPLETE,
    BODY_TOO_LARGE,
    INVALID_TOKEN,
    MISSING_SCOPE,
    ComposerError,
)
from composer_mcp.observability import metrics
from composer_mcp.observability.logs import about

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from starlette.types import Message, Receive, Scope

    from composer_mcp.security.caller import Caller
    from composer_mcp.security.tokens import TokenVerifier

#: Where a client finds out who issues tokens (RFC 9728: the resource's own path follows).
METADATA_PATH = "/.well-known/oauth-protected-resource/mcp"
RESOURCE_PATH = "/mcp"
#: Told with every answer that another try can change.
RETRY_AFTER_SECONDS = 5


class TooLarge(Exception):
    """The request's body exceeds the limit."""


class CutOff(Exception):
    """The caller went away before the request's body was whole."""


@dataclass(slots=True)
class Admitted:
    """A request whose token is good; ``replay`` gives its body once more to whoever answers it."""

    who: Caller
    headers: dict[bytes, bytes]
    body: bytes
    replay: Receive


class Door:
    """Lets in whoever has a good token, with a body that is small enough."""

    def __init__(
        self, verifier: TokenVerifier, public_url: str, body_limit: int, witness: Witness | None = None
    ) -> None:
        self._verifier = verifier
        #: Records who is turned away, and knows from where each request comes.
        self.witness = witness or Witness()
        self._metadata_url = public_url.removesuffix(RESOURCE_PATH) + METADATA_PATH
        self._body_limit = body_limit

    async def admit(self, scope: Scope, receive: Receive) -> JSONResponse | Admitted:
        """Return the request with its caller, or the refusal to answer it with."""
        self.witness.sees(scope)
        # Of a header that comes twice the first counts, as it does for the SDK: had each its own idea of the
        # protocol that is spoken, a header could be trusted here that nobody compares with the body there.
        headers = dict(reversed(scope["headers"]))
        # Read before anything is answered: the web server closes a connection whose body was left unread,
        # without saying so, and the edge would lose the next call that it sends over it.
        try:
            body, replay = await _read(receive, headers.get(b"content-length"), self._body_limit)
        except TooLarge:
            return answer(BODY_TOO_LARGE.error(limit=self._body_limit), {"Connection": "close"})
        except CutOff:
            # Nobody reads this; it keeps an abandoned call from being counted as a failure of the server.
            return answer(BODY_INCOMPLETE.error(), {"Connection": "close"})
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            metrics.TOKENS_REFUSED.labels("no_token").inc()
            none = INVALID_TOKEN.error(reason="there is none")
            self.witness.denied(none)
            return self._challenge(none, {})
        try:
            who = await self._verifier.verify(token.strip())
        except ComposerError as error:
            metrics.TOKENS_REFUSED.labels(error.code.code).inc()
            self.witness.denied(error)
            return self.refuse(error)
        scope["state"]["facts"]["tenant"] = who.tenant
        about.set({**about.get(), "tenant": who.tenant})
        return Admitted(who, headers, body, replay)

    def staying(self, who: Caller) -> AbstractAsyncContextManager[None]:
        """Stay with a caller for long; see :meth:`~composer_mcp.security.access.Access.staying`."""
        return self._verifier.access.staying(who)

    def refuse(self, error: ComposerError) -> JSONResponse:
        """Tell an error; one that another token could mend says so as RFC 6750 and 9728 have it."""
        if error.code is INVALID_TOKEN:
            return self._challenge(error, {"error": "invalid_token"})
        if error.code is MISSING_SCOPE:
            return self._challenge(
                error, {"error": "insufficient_scope", "scope": str(error.details["scope"])}
            )
        return answer(error)

    def _challenge(self, error: ComposerError, challenge: dict[str, str]) -> JSONResponse:
        if challenge:
            challenge["error_description"] = error.sentence.replace('"', "'")
        challenge["resource_metadata"] = self._metadata_url
        parameters = ", ".join(f'{name}="{value}"' for name, value in challenge.items())
        return answer(error, {"WWW-Authenticate": f"Bearer {parameters}"})


class _Answer(JSONResponse):
    """An error whose sentence may repeat half a character, as a request in JSON can have one."""

    def render(self, content: object) -> bytes:
        """Return the content as JSON."""
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def answer(error: ComposerError, headers: dict[str, str] | None = None, **more: object) -> JSONResponse:
    """An error as a plain HTTP answer; the edge's own refusals have the same form. ``more`` is told too."""
    told = error.as_dict()
    del told["details"]
    headers = headers or {}
    seconds = error.details.get("retry_after")
    if error.code.status == 503 or seconds is not None:
        headers.setdefault("Retry-After", str(seconds or RETRY_AFTER_SECONDS))
    return _Answer(told | more, error.code.status, headers=headers)


async def _read(receive: Receive, declared: bytes | None, limit: int) -> tuple[bytes, Receive]:
    """Read the body, and return with it a ``receive`` that gives it once more."""
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise TooLarge
    parts: list[Message] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise CutOff
        parts.append(message)
        size += len(message.get("body", b""))
        if size > limit:
            raise TooLarge
        if not message.get("more_body", False):
            break
    body = b"".join(part.get("body", b"") for part in parts)
    parts.reverse()

    async def replay() -> Message:
        return parts.pop() if parts else await receive()

    return body, replay
