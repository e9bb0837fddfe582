"""The control switch for tests, on a unix socket beside the state: failures, and what is stored.

It is not part of the original and is never reachable over the network.
"""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from composer_standin.faults import Fault, Faults
from composer_standin.store import Store


def control(store: Store, faults: Faults) -> Starlette:
    """Return the application behind the control socket."""

    async def report(_: Request) -> Response:
        return JSONResponse(faults.report())

    async def add(request: Request) -> Response:
        try:
            faults.active.append(Fault(**await request.json()))
        except TypeError as problem:
            return JSONResponse({"message": str(problem)}, 400)
        return JSONResponse(faults.report())

    async def clear(_: Request) -> Response:
        faults.active.clear()
        faults.calls.clear()
        faults.search_lag = 0.0
        faults.texts = {}
        return JSONResponse(faults.report())

    async def options(request: Request) -> Response:
        for name, value in (await request.json()).items():
            if name not in ("occasional", "search_lag", "texts"):
                return JSONResponse({"message": f"unknown option {name}"}, 400)
            setattr(faults, name, value)
        return JSONResponse(faults.report())

    async def compositions(_: Request) -> Response:
        kept = [
            {"uid": found.uid, "title": found.title, "versions": len(found.versions)}
            for found in store.compositions.values()
        ]
        # A title may hold half a character, which UTF-8 cannot carry.
        return Response(json.dumps(kept), media_type="application/json")

    async def keep(request: Request) -> Response:
        stored = store.create(**await request.json())
        return JSONResponse({"uid": stored.uid})

    return Starlette(
        routes=[
            Route("/faults", report, methods=["GET"]),
            Route("/faults", add, methods=["POST"]),
            Route("/faults", clear, methods=["DELETE"]),
            Route("/options", options, methods=["PUT"]),
            Route("/compositions", compositions, methods=["GET"]),
            Route("/contents", keep, methods=["POST"]),
        ]
    )
