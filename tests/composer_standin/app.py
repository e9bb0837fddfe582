"""The whole third party as one application: the page at ``/``, the API below ``/auth`` and ``/storage``."""

from __future__ import annotations

import html
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from composer_standin.account import Account
from composer_standin.api import Api
from composer_standin.faults import Dropped, Faults
from composer_standin.store import Store

PAGE = Path(__file__).parent / "page"


class BreakConnection:
    """Turns :class:`Dropped` into a connection that ends in the middle of an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Dropped:
            # uvicorn closes the connection when fewer bytes follow than were announced.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def application(account: Account, store: Store, faults: Faults, web_url: str, api_url: str) -> Starlette:
    """Return the application; the page finds the API at ``api_url``, the API lets in pages of ``web_url``."""
    template = (PAGE / "index.html").read_text(encoding="utf-8")
    index = template.replace("{{ api_url }}", html.escape(api_url))

    async def page(_: Request) -> Response:
        return await faults.before("page") or HTMLResponse(index)

    async def script(request: Request) -> Response:
        path = PAGE / "assets" / request.path_params["name"]
        if path.suffix != ".js" or not path.is_file() or not faults.texts:
            return FileResponse(path) if path.is_file() else Response(status_code=404)
        shown = path.read_text(encoding="utf-8")
        for text, other in faults.texts.items():
            shown = shown.replace(text, other)
        return Response(shown, media_type="text/javascript")

    cors = Middleware(
        CORSMiddleware,
        allow_origins=[web_url],
        allow_methods=["GET", "POST", "PUT"],
        allow_headers=["Authorization", "Project-Key", "Api-Env"],
    )
    return Starlette(
        routes=[
            Route("/", page),
            Route("/assets/{name}", script),
            Mount("/rdpcomposer/media", StaticFiles(directory=PAGE / "media")),
            *Api(account, store, faults).routes(),
        ],
        middleware=[Middleware(BreakConnection), cors],
    )
