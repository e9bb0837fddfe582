"""In front of the tools: who calls, and may they. Pure ASGI, ahead of the SDK.

The SDK knows scopes for the endpoint as a whole; here each tool has its own, so a token without it is
answered with HTTP 403 and the name of the scope, as clients expect when they ask the user for more.
"""

from __future__ import annotations

import functools

from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from composer_mcp.errors import METHOD_NOT_ALLOWED, ComposerError
from composer_mcp.mcp.uses import LISTEN, uses
from composer_mcp.security import caller
from composer_mcp.security.door import RESOURCE_PATH as PATH
from composer_mcp.security.door import Admitted, Door, answer

#: Without sessions a GET would open a stream that never says anything and never ends.
METHODS = ("POST",)
SESSION_METHODS = ("POST", "GET", "DELETE")


class Gate:
    """Lets only authorized requests of acceptable size through to the MCP endpoint.

    ``beside`` answers whatever is not for the endpoint; it admits its callers by itself.
    """

    def __init__(
        self, app: ASGIApp, door: Door, *, beside: ASGIApp | None = None, methods: tuple[str, ...] = METHODS
    ) -> None:
        self._app = app
        self._beside = beside or app
        self._methods = methods
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._beside(scope, receive, send)
            return
        if scope["method"] not in self._methods:
            methods = ", ".join(self._methods)
            await answer(METHOD_NOT_ALLOWED.error(methods=methods), {"Allow": methods})(scope, receive, send)
            return
        admitted = await self._admit(scope, receive)
        if isinstance(admitted, JSONResponse):
            await admitted(scope, receive, send)
            return
        user = _user(admitted.who)
        token, user_token = caller.current.set(admitted.who), auth_context_var.set(user)
        try:
            if _is_stream(scope):
                async with self._door.staying(admitted.who):
                    await self._app({**scope, "user": user}, admitted.replay, send)
            else:
                await self._app({**scope, "user": user}, admitted.replay, send)
        finally:
            auth_context_var.reset(user_token)
            caller.current.reset(token)

    async def _admit(self, scope: Scope, receive: Receive) -> JSONResponse | Admitted:
        admitted = await self._door.admit(scope, receive)
        if isinstance(admitted, JSONResponse):
            return admitted
        facts = scope["state"]["facts"]
        try:
            for name, tool in uses(admitted.body, admitted.headers).items():
                facts["tool"] = name[:100]
                admitted.who.require(tool)
        except ComposerError as error:
            self._door.witness.forbidden(admitted.who, f"tool.{facts.get('tool', '')}", error)
            return self._door.refuse(error)
        return admitted


def _is_stream(scope: Scope) -> bool:
    """Whether the answer goes on for as long as the client listens, and not only until a job is done."""
    tool: str = scope["state"]["facts"].get("tool", "")
    return tool.startswith(LISTEN) or scope["method"] == "GET"


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
