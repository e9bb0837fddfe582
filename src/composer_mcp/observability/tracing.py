"""Traces: what a call did and how long each part took, from the web through the job to the browser.

Off unless :func:`start` was called; then nothing here does anything. What is exported is chosen, not
filtered: of attributes those that are named here, of errors their type and code, of events and links nothing.
Texts of callers, of Composer and of exceptions stay in the house.
"""

from __future__ import annotations

import atexit
import contextlib
import re
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import composer_mcp

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext, Tracer

    from composer_mcp.observability.settings import TracesSettings
    from composer_mcp.settings import Credentials

#: By this the spans are known that we make ourselves.
OWN_SCOPE = "composer_mcp"
Kind = Literal["server", "client", "consumer", "internal"]
#: Attributes that are exported. Of those that the SDK of MCP sets, only what one of a list can be: callers
#: choose names, ids and methods.
EXPORTED = frozenset(
    {
        "http.request.method", "http.route", "http.response.status_code", "error.type",
        "rpc.response.status_code", "mcp.method.name", "mcp.protocol.version", "gen_ai.operation.name",
        "gen_ai.tool.name", "composer.correlation_id", "composer.tenant", "composer.job", "composer.kind",
        "composer.attempt", "composer.outcome", "composer.waited_seconds", "composer.console_errors",
        "composer.network_errors",
    }
)  # fmt: skip
METHODS = frozenset(
    {
        "initialize", "ping", "server/discover", "tools/list", "tools/call", "prompts/list", "prompts/get",
        "resources/list", "resources/read", "resources/templates/list", "resources/subscribe",
        "resources/unsubscribe", "completion/complete", "logging/setLevel", "subscriptions/listen",
        "tasks/get", "tasks/update", "tasks/cancel", "notifications/initialized", "notifications/cancelled",
        "notifications/progress", "notifications/roots/list_changed",
    }
)  # fmt: skip
LONGEST_VALUE = 200
#: A batch that cannot be sent within so long is given up; one thread sends, one batch at a time.
SEND_SECONDS = 5.0
BATCH_SPANS = 256
PAUSE_MILLISECONDS = 2000
#: How long a process that ends waits for its last spans to be sent.
END_SECONDS = 2.0
#: W3C Trace Context; what is stored with a job after its correlation id.
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class _State:
    tracer: Tracer | None = None


_state = _State()


def start(settings: TracesSettings, credentials: Credentials, service: str) -> None:
    """Make and send traces from now on, if an endpoint is configured; once for each process.

    Raises:
        ConfigurationError: the secret is missing.
    """
    if settings.endpoint is None or _state.tracer is not None:
        return
    # Not above: whoever makes no traces does without these libraries.
    from opentelemetry import trace

    from composer_mcp.observability import trace_export

    headers = {}
    if settings.authorization:
        headers["Authorization"] = credentials.read("traces-authorization").get_secret_value()
    provider = trace_export.provider(settings, headers, service)
    trace.set_tracer_provider(provider)
    _state.tracer = provider.get_tracer(OWN_SCOPE, composer_mcp.__version__)
    atexit.register(_end, provider)


def _end(provider: TracerProvider) -> None:
    """Send what is left, but do not wait long for a collector that does not answer."""
    flushing = threading.Thread(target=provider.force_flush, daemon=True)
    flushing.start()
    flushing.join(END_SECONDS)


def is_on() -> bool:
    """Whether this process makes traces."""
    return _state.tracer is not None


class Span:
    """A part of a call that is being measured; the one of a process without traces does nothing."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def set(self, **facts: str | int | float) -> None:
        """Add attributes; ``outcome=`` becomes ``composer.outcome``."""
        if self._span is not None:
            self._span.set_attributes({f"composer.{name}": value for name, value in facts.items()})

    def status(self, code: int) -> None:
        """Add the status of an HTTP answer."""
        if self._span is not None:
            self._span.set_attribute("http.response.status_code", code)

    def failed(self, code: str) -> None:
        """Say that it went wrong, and how: a code of ours or the name of an exception's type."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_attribute("error.type", code)
            self._span.set_status(StatusCode.ERROR)


_NOTHING = Span()
#: Measures nothing.
UNTRACED = contextlib.nullcontext(_NOTHING)


@contextlib.contextmanager
def span(
    name: str,
    kind: Kind = "internal",
    *,
    attributes: Mapping[str, str | int] | None = None,
    parent: str = "",
    root: bool = False,
) -> Iterator[Span]:
    """Measure what is done within the context, as a part of what is measured around it.

    ``parent`` continues the trace of another process, from what :func:`traceparent` returned there; ``root``
    begins a new one. An exception that passes through is named in the span, and goes on.
    """
    if _state.tracer is None:
        yield _NOTHING
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind

    context = _context_of(parent) if parent else Context() if root else None
    with _state.tracer.start_as_current_span(
        name,
        context,
        SpanKind[kind.upper()],
        attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as measured:
        found = Span(measured)
        try:
            yield found
        except BaseException as error:
            found.failed(_code_of(error))
            raise


def traceparent() -> str:
    """Return what continues the present trace in another process; empty if there is none to continue."""
    if _state.tracer is None:
        return ""
    context = _present()
    if not context.trace_flags.sampled:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def trace_id() -> str:
    """Return the id of the present trace if it is recorded, else an empty text."""
    return traceparent()[3:35]


def stored(correlation_id: str) -> str:
    """Return what is stored with a job: its correlation id, and how its trace goes on if it has one."""
    present = traceparent()
    return f"{correlation_id} {present}" if present else correlation_id


def split(text: str) -> tuple[str, str]:
    """Return correlation id and traceparent of what was stored with a job."""
    correlation_id, _, parent = text.partition(" ")
    return correlation_id, parent if TRACEPARENT.fullmatch(parent) else ""


def _present() -> SpanContext:
    from opentelemetry.trace import get_current_span

    return get_current_span().get_span_context()


def _context_of(parent: str) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    found = TRACEPARENT.fullmatch(parent)
    if found is None:
        return Context()
    # Not remote: it is ours, so whether it is recorded was decided already.
    context = SpanContext(int(found[1], 16), int(found[2], 16), False, TraceFlags(int(found[3], 16)))
    return set_span_in_context(NonRecordingSpan(context), Context())


def _code_of(error: BaseException) -> str:
    code = getattr(getattr(error, "code", None), "code", None)
    return code if isinstance(code, str) else type(error).__name__
