"""The MCP server itself: the SDK's, with our errors, and everything shown only to those who may use it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from mcp.server import MCPServer
from mcp.server._otel import OpenTelemetryMiddleware
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, RequestStateSecurity
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolResult,
    CompleteRequestParams,
    DiscoverResult,
    GetPromptResult,
    InputRequiredResult,
    ListResourcesResult,
    PaginatedRequestParams,
    Prompt,
    RequestParams,
    SubscriptionsListenRequestParams,
    Tool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from prometheus_client import Counter
from pydantic import AnyUrl, ValidationError

import composer_mcp
from composer_mcp.errors import INTERNAL, NOT_CONFIRMED, ComposerError
from composer_mcp.mcp import arguments as wrong
from composer_mcp.mcp import completions, following, preview_app, prompts, recorded, resources, results, tools
from composer_mcp.mcp.services import Services
from composer_mcp.mcp.tasks import Accepted
from composer_mcp.observability import metrics, tracing
from composer_mcp.security import caller

log = structlog.get_logger(__name__)

#: Equal everywhere: what one process has sealed for a client, another must be able to open.
NAME = "euconquisto-composer"
INSTRUCTIONS = """\
Create and edit educational compositions in EuConquisto Composer.
A whole lesson is one call of create_composition; if it is refused, mend what the error lists and call again.
Name a composition by the `id` that results carry; give people its `url`.
Every call is a durable job: if a call fails or times out, repeat it with the same idempotency_key, and
nothing is done twice. Errors say what happened, whether anything was saved, and what to do."""
#: Tools change with a release, templates of resources too; the list of compositions at any time.
CACHE_HINTS: dict[CacheableMethod, CacheHint] = {
    "tools/list": CacheHint(ttl_ms=300_000, scope="private"),
    "prompts/list": CacheHint(ttl_ms=300_000, scope="private"),
    "resources/templates/list": CacheHint(ttl_ms=300_000, scope="private"),
    "resources/list": CacheHint(ttl_ms=0, scope="private"),
    "resources/read": CacheHint(ttl_ms=0, scope="private"),
}

Lifespan = Callable[[MCPServer[Services]], AbstractAsyncContextManager[Services]]


class _TracedIfWanted(OpenTelemetryMiddleware):
    """The SDK's tracing, which makes a span that nobody keeps when no traces are configured."""

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        return await (super().__call__(ctx, call_next) if tracing.is_on() else call_next(ctx))


class ComposerServer(MCPServer[Services]):
    """Reports errors as values of the error table, and checks scopes a second time."""

    def __init__(
        self, lifespan: Lifespan, state_keys: Sequence[str], extensions: Sequence[Extension]
    ) -> None:
        self._ours = {tool.name: tool for tool in tools.ALL}
        #: Says which tools become tasks; whoever extends the server adds to it.
        self.tasks = following.tasks(tools.DURABLE)
        #: Which of the lists of ``tools`` and ``prompts`` change while the server runs. Ours change with a
        #: release, so nobody is promised to hear of it; whoever extends the server may add to this.
        self.changing: set[str] = set()
        bus = InMemorySubscriptionBus()
        super().__init__(
            name=NAME,
            title="EuConquisto Composer",
            version=composer_mcp.__version__,
            instructions=INSTRUCTIONS,
            lifespan=lifespan,
            tools=list(tools.ALL),
            extensions=[preview_app.extension(), self.tasks, *extensions],
            request_state_security=RequestStateSecurity(keys=state_keys) if state_keys else None,
            cache_hints=CACHE_HINTS,
            subscriptions=bus,
            log_level="WARNING",
        )
        self.middleware[:] = [
            _TracedIfWanted() if isinstance(each, OpenTelemetryMiddleware) else each
            for each in self.middleware
        ]
        self.middleware.append(recorded.requests)
        prompts.register(self)
        resources.register(self)
        # The SDK's decorators for these two are not given the context of the request.
        serve = self._lowlevel_server.add_request_handler
        serve("completion/complete", CompleteRequestParams, completions.answer)
        listen = following.listener(self.tasks, bus, self.changing)
        serve("subscriptions/listen", SubscriptionsListenRequestParams, listen)
        serve("server/discover", RequestParams, self._discover)

    async def serve_streams(self, incoming: Any, outgoing: Any) -> None:
        """Answer one client over a pair of the SDK's streams, until the incoming one ends."""
        options = self._lowlevel_server.create_initialization_options()
        await self._lowlevel_server.run(incoming, outgoing, options)

    async def _discover(
        self, ctx: ServerRequestContext[Services], _params: RequestParams | None
    ) -> DiscoverResult:
        """Say what the server can do; the SDK would promise to tell of every list that changes."""
        capabilities = self._lowlevel_server.get_capabilities(protocol_version=ctx.protocol_version)
        if capabilities.tools is not None:
            capabilities.tools.list_changed = "tools" in self.changing
        if capabilities.prompts is not None:
            capabilities.prompts.list_changed = "prompts" in self.changing
        return DiscoverResult(
            supported_versions=list(MODERN_PROTOCOL_VERSIONS),
            capabilities=capabilities,
            instructions=self._lowlevel_server.instructions,
        )

    async def list_tools(self) -> list[Tool]:
        """Return the tools that the caller may use."""
        who = caller.current.get()
        return [tool for tool in await super().list_tools() if who.may_use(tool.name)]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Services, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; whatever goes wrong is answered with a code, a sentence and a remedy."""
        if context is None:
            raise RuntimeError("a call outside of a request has no caller who could be recorded")
        call = None
        try:
            call = recorded.tool(context.request_context.lifespan_context.audit, name, arguments)
            result = await self._call_tool(name, arguments, context)
            await call.end(recorded.outcome(_outcome(result)), recorded.made(result))
        except Accepted as accepted:
            try:
                if call is not None:
                    await call.end("accepted", str(accepted.submission.job_id))
            except ComposerError as error:
                return results.failure(error)
            raise
        except ComposerError as error:
            # It was not begun, or is not recorded yet.
            return results.failure(error)
        except BaseException as error:
            if call is not None:
                call.left(error)
            raise
        return result

    async def _call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Services, Any]
    ) -> CallToolResult | InputRequiredResult:
        try:
            caller.current.get().require(name)
            self._check_names(name, arguments)
            result = await super().call_tool(name, arguments, context)
        except Accepted:
            _counted(name, "accepted").inc()
            raise
        except (ToolError, ComposerError) as error:
            if isinstance(error, ToolError) and name not in self._ours:
                raise
            result = results.failure(self._failure(name, error))
        outcome = _outcome(result)
        _counted(name, outcome).inc()
        if isinstance(result, CallToolResult) and result.is_error:
            log.info("tool.failed", tool=name[:100], code=outcome)
        return result

    def _check_names(self, name: str, arguments: dict[str, Any]) -> None:
        tool = self._ours.get(name) or self._tool_manager.get_tool(name)
        if tool is None:
            who = caller.current.get()
            raise wrong.unknown_tool(name, [known for known in self._ours if who.may_use(known)])
        if name in self._ours and (error := wrong.unknown_arguments(tool, arguments)) is not None:
            raise error

    def _failure(self, name: str, error: Exception) -> ComposerError:
        """Return the error of our table behind what the SDK raised."""
        if isinstance(error, ComposerError):
            return error
        match error.__cause__:
            case ComposerError() as failure:
                return failure
            case ValidationError() as invalid:
                return wrong.invalid(self._ours[name], invalid)
            case None | ToolError():
                # The SDK's own complaint about what a client sent as a person's answer.
                return NOT_CONFIRMED.error(answer="something that does not fit the form")
            case unexpected:
                log.error("tool.crashed", tool=name, exc_info=unexpected)
                return INTERNAL.error()

    async def list_prompts(self) -> list[Prompt]:
        """Return the prompts whose tools the caller may use."""
        who = caller.current.get()
        return [
            prompt
            for prompt in await super().list_prompts()
            if who.may_use(prompts.NEEDS.get(prompt.name, prompt.name))
        ]

    async def get_prompt(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        context: Context[Services, Any] | None = None,
    ) -> GetPromptResult | InputRequiredResult:
        """Return a prompt; what is wrong with the request is told as an error of the protocol."""
        try:
            caller.current.get().require(prompts.NEEDS.get(name, name))
            if name in prompts.NEEDS or self._prompt_manager.get_prompt(name) is None:
                prompts.check(name, arguments or {})
            return await super().get_prompt(name, arguments, context)
        except ComposerError as error:
            raise resources.refused(error) from error
        except ValueError as error:
            known = results.cause(error)
            if known is not None:
                raise resources.refused(known) from error
            raise MCPError(INVALID_PARAMS, str(error)) from error

    async def _handle_list_resources(
        self, ctx: ServerRequestContext[Services], params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        # The SDK's server has no place for pages, nor for lists that differ from caller to caller.
        cursor = params.cursor if params else None
        listed = [] if cursor else await self.list_resources()
        if not caller.current.get().may_use("search_compositions"):
            return ListResourcesResult(resources=listed)
        try:
            page, following = await resources.own_page(ctx.lifespan_context.compositions, cursor)
        except ComposerError as error:
            raise resources.refused(error) from error
        return ListResourcesResult(resources=[*listed, *page], next_cursor=following)

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Services, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read a resource; what is wrong is told with code, sentence and remedy."""
        try:
            if str(uri).startswith(resources.GUARDED):
                caller.current.get().require("get_composition")
            return await super().read_resource(uri, context)
        except ComposerError as error:
            raise resources.refused(error, uri=str(uri)) from error
        except ResourceError as error:
            known = results.cause(error)
            if known is None:
                raise
            raise resources.refused(known, uri=str(uri)) from error


@functools.lru_cache(maxsize=1024)
def _counted(tool: str, outcome: str) -> Counter:
    """Return what counts calls of a tool; what no tool is called is not counted by its name."""
    return metrics.TOOL_CALLS.labels(tool if tool in caller.SCOPES else "other", outcome)


def _outcome(result: CallToolResult | InputRequiredResult) -> str:
    """Say in one word how a call ended: the code of its error, if it reports one."""
    if not isinstance(result, CallToolResult):
        return "input_required"
    if not result.is_error:
        return "succeeded"
    code: str = (result.structured_content or {}).get("error", {}).get("code", INTERNAL.code)
    return code


def build(
    lifespan: Lifespan, *, state_keys: Sequence[str] = (), extensions: Sequence[Extension] = ()
) -> ComposerServer:
    """Return a server with all tools, prompts and resources.

    ``state_keys`` seal what clients carry between the rounds of one call: the first seals, all open. They
    must be equal in all processes that may answer a client; without any, each process has one of its own.
    """
    return ComposerServer(lifespan, state_keys, extensions)
