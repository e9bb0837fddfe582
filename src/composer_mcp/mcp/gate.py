"""In front of the tools: who calls, may they, is the request small enough. Pure ASGI, ahead of the SDK.

The SDK knows scopes for the endpoint as a whole; here each tool has its own, so a token without it is
answered with HTTP 403 and the name of the scope, as clients expect when they ask the user for more.
"""

from __future__ import annotations

import functools

import structlog
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from composer_mcp.errors import (
    BODY_INCOMPLETE,
    BODY_TOO_LARGE,
    INVALID_TOKEN,
    METHOD_NOT_ALLOWED,
    MISSING_SCOPE,
    ComposerError,
)
from composer_mcp.mcp.uses import uses
from composer_mcp.security import caller
from composer_mcp.security.tokens import TokenVerifier

PATH = "/mcp"
#: Without sessions a GET would open a stream that never says anything and never ends.
METHODS = ("POST",)
SESSION_METHODS = ("POST", "GET", "DELETE")
METADATA_PATH = "/.well-known/oauth-protected-resource/mcp"


class TooLarge(Exception):
    """The request's body exceeds the limit."""


class CutOff(Exception):
    """The caller went away before the request's body was whole."""


class Gate:
    """Lets only authorized requests of acceptable size through to the MCP endpoint."""

    def __init__(
        self,
        app: ASGIApp,
        verifier: TokenVerifier,
        public_url: str,
        body_limit: int,
        *,
        methods: tuple[str, ...] = METHODS,
    ) -> None:
        self._app = app
        self._methods = methods
        self._verifier = verifier
        self._metadata_url = public_url.removesuffix(PATH) + METADATA_PATH
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        if scope["method"] not in self._methods:
            await _answer(METHOD_NOT_ALLOWED.error(), {"Allow": ", ".join(self._methods)})(
                scope, receive, send
            )
            return
        refusal = await self._admit(scope, receive)
        if isinstance(refusal, JSONResponse):
            await refusal(scope, receive, send)
            return
        who, replay = refusal
        user = _user(who)
        token, user_token = caller.current.set(who), auth_context_var.set(user)
        try:
            await self._app({**scope, "user": user}, replay, send)
        finally:
            auth_context_var.reset(user_token)
            caller.current.reset(token)

    async def _admit(self, scope: Scope, receive: Receive) -> JSONResponse | tuple[caller.Caller, Receive]:
        # Of a header that comes twice the first counts, as it does for the SDK: had each its own idea of the
        # protocol that is spoken, a header could be trusted here that nobody compares with the body there.
        headers = dict(reversed(scope["headers"]))
        # Read before anything is answered: the web server closes a connection whose body was left unread,
        # without saying so, and the edge would lose the next call that it sends over it.
        try:
            body, replay = await _read(receive, headers.get(b"content-length"), self._body_limit)
        except TooLarge:
            return _answer(BODY_TOO_LARGE.error(limit=self._body_limit), {"Connection": "close"})
        except CutOff:
            # Nobody reads this; it keeps an abandoned call from being counted as a failure of the server.
            return _answer(BODY_INCOMPLETE.error(), {"Connection": "close"})
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return self._refuse(INVALID_TOKEN.error(reason="there is none"), challenge={})
        try:
            who = await self._verifier.verify(token.strip())
        except ComposerError as error:
            return self._refuse(error, challenge={"error": "invalid_token"})
        facts = scope["state"]["facts"]
        facts["tenant"] = who.tenant
        structlog.contextvars.bind_contextvars(tenant=who.tenant)
        try:
            for name, tool in uses(body, headers).items():
                facts["tool"] = name[:100]
                who.require(tool)
        except ComposerError as error:
            if error.code is not MISSING_SCOPE:
                return _answer(error, {})
            challenge = {"error": "insufficient_scope", "scope": str(error.details["scope"])}
            return self._refuse(error, challenge=challenge)
        return who, replay

    def _refuse(self, error: ComposerError, challenge: dict[str, str]) -> JSONResponse:
        headers = {}
        if error.code.status in (401, 403):
            if challenge:
                challenge["error_description"] = error.sentence.replace('"', "'")
            challenge["resource_metadata"] = self._metadata_url
            parameters = ", ".join(f'{name}="{value}"' for name, value in challenge.items())
            headers["WWW-Authenticate"] = f"Bearer {parameters}"
        elif error.code.status == 503:
            headers["Retry-After"] = "5"
        return _answer(error, headers)


@functools.lru_cache(maxsize=1024)
def _user(who: caller.Caller) -> AuthenticatedUser:
    """The caller as the SDK knows callers: it binds sessions and sealed states to this identity."""
    claims = {"iss": who.issuer}
    # The token itself stays here: nothing behind the gate needs it, so nothing can leak it.
    return AuthenticatedUser(
        AccessToken(
            token="", client_id=who.tenant, subject=who.subject, scopes=sorted(who.scopes), claims=claims
        )
    )


def _answer(error: ComposerError, headers: dict[str, str]) -> JSONResponse:
    """An error as a plain HTTP answer; the edge's own refusals have the same form."""
    told = error.as_dict()
    del told["details"]
    return JSONResponse(told, error.code.status, headers=headers)


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
