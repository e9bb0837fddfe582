"""The bare SDK on our own job engine: no token, no audit, no log, no figure. An ASGI module for gunicorn.

It submits the same jobs to the same workers as our application; what the two differ by is everything that
ours does around a job.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

from composer_mcp.composition.lesson import Lesson
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.jobs.requests import AnyRequest, CreateComposition, GetComposition
from composer_mcp.settings import Credentials, load
from composer_mcp.store import database

settings = load(Path(os.environ["CONFIG"]))
password = Credentials(Path(os.environ["CREDENTIALS"])).read("database-password")


@contextlib.asynccontextmanager
async def lifespan(_server: MCPServer[PostgresJobEngine]) -> AsyncIterator[PostgresJobEngine]:
    """Open the engine."""
    options = database.connection_options(settings.postgresql, password, application="bench")
    async with PostgresJobEngine.open(settings, options) as engine:
        yield engine


async def _unheard(_fraction: float, _message: str) -> None:
    """Nobody follows."""


async def _done(call: Context[PostgresJobEngine, Any], request: AnyRequest) -> dict[str, Any]:
    engine = call.request_context.lifespan_context
    submission = await engine.submit("school", uuid.uuid4().hex, request, uuid.uuid4().hex)
    return (await engine.wait(submission.job_id, _unheard)).result or {}


async def get_composition(uid: str, call: Context[PostgresJobEngine, Any]) -> dict[str, Any]:
    """Have a job done that reads."""
    return await _done(call, GetComposition(uid=uid))


async def create_composition(lesson: Lesson, call: Context[PostgresJobEngine, Any]) -> dict[str, Any]:
    """Have a job done that writes."""
    return await _done(call, CreateComposition(lesson=lesson))


server = MCPServer("bare", lifespan=lifespan, log_level="WARNING")
server.add_tool(get_composition)
server.add_tool(create_composition)
app = server.streamable_http_app(stateless_http=True)
