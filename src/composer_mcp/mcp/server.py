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
from mcp_types import CallToolResult, InputRequiredResult, Tool
from pydantic import ValidationError

import composer_mcp
from composer_mcp.errors import INTERNAL, INVALID_ARGUMENTS, ComposerError
from composer_mcp.mcp import results, tools
from composer_mcp.mcp.services import Services
from composer_mcp.observability import metrics
from composer_mcp.security import caller

log = structlog.get_logger(__name__)

INSTRUCTIONS = """\
Create and edit educational compositions in EuConquisto Composer.
Every call is a durable job: if a call fails or times out, repeat it with the same idempotency_key, and
nothing is done twice. Errors say what happened, whether anything was saved, and what to do."""


class ComposerServer(MCPServer[Services]):
    """Reports errors as values of the error table, and checks scopes a second time."""

    async def serve_streams(self, incoming: Any, outgoing: Any) -> None:
        """Answer one client over a pair of the SDK's streams, until the incoming one ends."""
        options = self._lowlevel_server.create_initialization_options()
        await self._lowlevel_server.run(incoming, outgoing, options)

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
            return results.failure(failure)
        outcome = _outcome(result)
        metrics.TOOL_CALLS.labels(name, outcome).inc()
        if isinstance(result, CallToolResult) and result.is_error:
            log.info("tool.failed", tool=name, code=outcome)
        return result


def _outcome(result: CallToolResult | InputRequiredResult) -> str:
    """Say in one word how a call ended: the code of its error, if it reports one."""
    if not isinstance(result, CallToolResult):
        return "input_required"
    if not result.is_error:
        return "succeeded"
    code: str = (result.structured_content or {}).get("error", {}).get("code", INTERNAL.code)
    return code


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
