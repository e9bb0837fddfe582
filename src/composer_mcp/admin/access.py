"""What the routes of the admin API ask for: the caller with a scope, and what the server works with."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer, SecurityScopes
from pydantic import AfterValidator, BaseModel, Field

from composer_mcp.errors import STORE_UNAVAILABLE
from composer_mcp.mcp.services import Services
from composer_mcp.security import caller
from composer_mcp.security.caller import Caller
from composer_mcp.security.roles import ADMINISTRATIVE

PREFIX = "/admin/v1"
#: Tells the document how callers identify themselves; the door has checked it before anything else is done.
BEARER = HTTPBearer(
    scheme_name="token",
    bearerFormat="JWT",
    description="an access token of a trusted issuer; each operation names the scope that it needs",
    auto_error=False,
)


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("there is the character NUL (%00) in it, which no text here can have")
    return text


#: A text to look for; a database fails at what it cannot hold, so it is not asked.
Sought = Annotated[str, AfterValidator(_storable)]


class BrokenRule(BaseModel):
    """One rule that a request breaks."""

    path: str = Field(description="where in the request")
    message: str


class Problem(BaseModel):
    """An error, as every part of the server tells errors."""

    code: str = Field(description="stays the same from release to release")
    message: str = Field(description="what happened")
    remedy: str = Field(description="what to do")
    retryable: bool = Field(description="whether the same request can succeed later")
    problems: list[BrokenRule] = Field([], description="of a request that breaks rules")


async def _caller(
    request: Request, needed: SecurityScopes, _token: Annotated[Any, Depends(BEARER)]
) -> Caller:
    who = caller.current.get()
    for scope in needed.scopes:
        who.require_scope(scope, _what(request))
    return who


async def any_administrative(request: Request) -> None:
    """Refuse callers without any administrative scope."""
    who = caller.current.get()
    if not who.scopes & ADMINISTRATIVE:
        who.require_scope(min(who.withheld & ADMINISTRATIVE or ADMINISTRATIVE), _what(request))


def requires(scope: str) -> Any:
    """Return what a route asks for to get a caller with this scope; the document names it too."""
    return Security(_caller, scopes=[scope])


def _what(request: Request) -> str:
    return f"{request.method} {request.scope['path'][:200]}"


async def _services(request: Request) -> Services:
    services: Services | None = request.app.state.services
    if services is None:
        raise STORE_UNAVAILABLE.error(store="database", state="The server is starting. Nothing was changed.")
    return services


#: What a route works with: ``services: Opened``.
Opened = Annotated[Services, Depends(_services)]
