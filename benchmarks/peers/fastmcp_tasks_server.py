"""fastmcp-tasks on Redis with its defaults. An ASGI module for gunicorn, and the server of its worker."""

from __future__ import annotations

import os

from fastmcp import FastMCP
from fastmcp_tasks import TasksExtension

from benchmarks.peers.work import work

server = FastMCP("peer")
server.add_extension(TasksExtension(url=os.environ["REDIS"]))


@server.tool(task=True)
async def bench(label: str, milliseconds: int) -> dict[str, int]:
    """Do the work of the bench."""
    return {"milliseconds": await work(label, milliseconds)}


app = server.http_app(path="/mcp", stateless_http=True)
