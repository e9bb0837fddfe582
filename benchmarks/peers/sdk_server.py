"""The bare SDK: the same tools on its MCPServer, stateless, nothing in front. An ASGI module for gunicorn."""

from __future__ import annotations

import os

from mcp.server import MCPServer

from benchmarks.peers import catalogue

server = MCPServer("bare", log_level="WARNING")
for tool in catalogue.tools(int(os.environ["TOOLS"])):
    server.add_tool(tool)
app = server.streamable_http_app(stateless_http=True)
