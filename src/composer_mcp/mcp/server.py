"""The MCP server itself: the SDK's, with our errors and with tools shown only to those who may use them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from mcp.server import MCPServer
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, InputRequiredResult, TextContent, Tool
from pydantic import ValidationError

import composer_mcp
from composer_mcp.errors import INTERNAL, INVALID_ARGUMENTS, ComposerError
from composer_mcp.mcp import tools
from composer_mcp.mcp.services import Services
from composer_mcp.observability import metrics
from composer_mcp.observability.access import correlation_id
from composer_mcp.security import caller

log = structlog.get_logger(__name__)

INSTRUCTIONS = """\
Create and edit educational compositions in EuConquisto Composer.
Every call is a durable job: if a call fails or times out, repeat it with the same idempotency_key, and
nothing is done twice. Errors say what happened, whether anything was saved, and what to do."""


class ComposerServer(MCPServer[Services]):
    """Reports errors as values of the error table, and checks scopes a second time."""

    async def list_tools(self) -> list[Tool]:
        """Return the tools that the caller may use."""
        who = caller.current.get()
        return [tool for tool in await super().list_tools() if who.may_use(tool.name)]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Services, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; whatever goes wrong is answered with a code, a sentence and a remedy."""
        try:
            caller.current.get().require(name)
            result = await super().call_tool(name, arguments, context)
        except (ToolError, ComposerError) as error:
            failure = _failure(error)
            if failure is None:
                raise
            metrics.TOOL_CALLS.labels(name if name in caller.SCOPES else "other", failure.code.code).inc()
            log.info("tool.failed", tool=name, code=failure.code.code)
            return report(failure)
        metrics.TOOL_CALLS.labels(name, "succeeded").inc()
        return result


def _failure(error: Exception) -> ComposerError | None:
    """Find the error of our table behind what the SDK raised; ``None`` for the SDK's own (unknown tool)."""
    if isinstance(error, ComposerError):
        return error
    match error.__cause__:
        case ComposerError() as failure:
            return failure
        case ValidationError() as invalid:
            problems = [
                f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: {problem['msg']}"
                for problem in invalid.errors(include_url=False, include_input=False, include_context=False)
            ]
            return INVALID_ARGUMENTS.error(count=len(problems), problems="; ".join(problems[:50]))
        case None:
            return None
        case unexpected:
            log.error("tool.crashed", exc_info=unexpected)
            return INTERNAL.error()


def report(error: ComposerError) -> CallToolResult:
    """Return an error as a tool result that a language model can act on."""
    content = error.as_dict() | {"correlation_id": correlation_id.get()}
    lines = [f"{error.code.code}: {error.sentence}", error.remedy]
    if "job_id" in error.details:
        lines.append(f"Job: {error.details['job_id']}")
    text = "\n".join(lines)
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content={"error": content}, is_error=True
    )


def build(lifespan: Callable[[MCPServer[Services]], AbstractAsyncContextManager[Services]]) -> ComposerServer:
    """Return a server with all tools."""
    server = ComposerServer(
        name="euconquisto-composer",
        title="EuConquisto Composer",
        version=composer_mcp.__version__,
        instructions=INSTRUCTIONS,
        lifespan=lifespan,
        cache_hints={"tools/list": CacheHint(ttl_ms=60_000, scope="private")},
        log_level="WARNING",
    )
    tools.register(server)
    return server
