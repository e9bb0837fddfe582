"""The frame of the admin API: callers, errors, limits, and the OpenAPI document.

A router is an ``APIRouter`` with its own prefix in :data:`ROUTERS`. A route asks for what it needs with
``who: Annotated[Caller, requires("jobs:operate")]`` and gets what it works with through :data:`Opened`.
Why FastAPI: ``docs/decisions/0026-accounts.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import composer_mcp
from composer_mcp.admin import accounts, audit, evidence, jobs, settings
from composer_mcp.admin.access import PREFIX, Problem, any_administrative
from composer_mcp.errors import (
    ADDRESS_UNKNOWN,
    INTERNAL,
    INVALID_REQUEST,
    METHOD_NOT_ALLOWED,
    ComposerError,
)
from composer_mcp.security import caller
from composer_mcp.security.door import Door, answer

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fastapi import APIRouter
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from composer_mcp.mcp.services import Services

log = structlog.get_logger(__name__)

ROUTERS: Sequence[APIRouter] = (accounts.router, audit.router, evidence.router, jobs.router, settings.router)
DESCRIPTION = """\
What operators, administrators and auditors do. Every call needs a bearer token of a trusted issuer, and an
account with a role that grants the scope which the operation names. Errors have a code, a sentence and a
remedy.
"""
#: What any call may be answered with, beside what its route says.
REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "no token, or not a good one"},
    403: {"model": Problem, "description": "the token or the account's roles lack the scope"},
    422: {"model": Problem, "description": "the request breaks a rule"},
    503: {
        "model": Problem,
        "description": "something behind the server is away; come back after Retry-After",
    },
}
PROBLEMS_TOLD = 20


class AdminApi:
    """Answers whatever begins with :data:`PREFIX`, for callers that the door lets in."""

    def __init__(self, door: Door, issuers: Collection[str] = ()) -> None:
        self._door = door
        self._api = build()
        self._api.state.issuers = frozenset(issuers)

    def serve(self, services: Services) -> None:
        """Work with these from now on; until then calls are refused for a moment."""
        self._api.state.services = services

    def beside(self, others: ASGIApp) -> ASGIApp:
        """Return an application that leaves to ``others`` what is not for the admin API."""

        async def either(scope: Scope, receive: Receive, send: Send) -> None:
            ours = scope["type"] == "http" and (scope["path"] + "/").startswith(PREFIX + "/")
            await (self if ours else others)(scope, receive, send)

        return either

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        admitted = await self._door.admit(scope, receive)
        if isinstance(admitted, JSONResponse):
            await admitted(scope, receive, _unkept(send))
            return
        scope["state"]["door"] = self._door
        token = caller.current.set(admitted.who)
        try:
            await self._door.witness.record(
                self._api,
                {**scope, "root_path": PREFIX},
                admitted.replay,
                _unkept(send),
                body=admitted.body,
                refuse=self._door.refuse,
            )
        except Exception as error:
            # It was answered already (see _crashed); whoever runs this must not log it in his own way too.
            log.error("admin.crashed", method=scope["method"], exc_info=error)
        finally:
            caller.current.reset(token)


def build() -> FastAPI:
    """Return the application without its door; pages that need a browser and a network are left out."""
    api = FastAPI(
        title="EuConquisto Composer MCP server: administration",
        version=composer_mcp.__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        responses=REFUSALS,
        exception_handlers={
            ComposerError: _refused,
            RequestValidationError: _invalid,
            HTTPException: _unanswerable,
            Exception: _crashed,
        },
        # What is measured and traced is chosen in ``observability``, for all parts alike.
        telemetry={"tracing": False, "metrics": False},
    )
    api.state.services = None
    for router in ROUTERS:
        api.include_router(router)

    @api.get("/openapi.json", include_in_schema=False, dependencies=[Depends(any_administrative)])
    async def openapi() -> dict[str, Any]:
        return describe(api)

    return api


def describe(api: FastAPI | None = None) -> dict[str, Any]:
    """Return the OpenAPI document of the admin API."""
    api = api or build()
    return get_openapi(
        title=api.title,
        version=api.version,
        openapi_version=api.openapi_version,
        description=api.description,
        routes=api.routes,
        servers=[{"url": PREFIX}],
    )


def _unkept(send: Send) -> Send:
    """Forbid everybody on the way to keep the answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"cache-control", b"no-store")]
        await send(message)

    return sending


async def _refused(request: Request, error: Exception) -> JSONResponse:
    door: Door = request.scope["state"]["door"]
    return door.refuse(error if isinstance(error, ComposerError) else INTERNAL.error())


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    told = [
        {"path": ".".join(str(part) for part in problem["loc"]), "message": problem["msg"]}
        for problem in problems[:PROBLEMS_TOLD]
    ]
    return answer(INVALID_REQUEST.error(count=len(problems)), problems=told)


async def _unanswerable(_request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(getattr(error, "headers", None) or {})
    if status == 405:
        return answer(METHOD_NOT_ALLOWED.error(methods=headers.get("Allow", "other methods")), headers)
    return answer(ADDRESS_UNKNOWN.error() if status == 404 else INVALID_REQUEST.error(count=1), headers)


async def _crashed(_request: Request, _error: Exception) -> JSONResponse:
    return answer(INTERNAL.error())
