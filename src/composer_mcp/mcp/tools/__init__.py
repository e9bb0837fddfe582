"""The tools. Each validates, submits a job or looks something up, and reports; none does the work itself."""

from __future__ import annotations

from mcp.server.mcpserver.tools import Tool

from composer_mcp.mcp.tools import compositions, history, jobs, planning, templates

#: In the order in which a lesson comes about.
ALL: list[Tool] = [
    *planning.TOOLS,
    *compositions.TOOLS,
    *history.TOOLS,
    *templates.TOOLS,
    *jobs.TOOLS,
]
#: Those that answer at once; all others submit a job.
IMMEDIATE = frozenset(
    {tool.name for tool in planning.TOOLS} | {"search_compositions", "get_job", "cancel_job"}
)
DURABLE = frozenset(tool.name for tool in ALL) - IMMEDIATE
