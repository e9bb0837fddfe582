"""FastMCP with the same tools, stateless, nothing in front. An ASGI module for gunicorn."""

from __future__ import annotations

import os

from fastmcp import FastMCP

from benchmarks.peers import catalogue

server = FastMCP("peer")
for tool in catalogue.tools(int(os.environ["TOOLS"])):
    server.tool(tool)
app = server.http_app(path="/mcp", stateless_http=True)
