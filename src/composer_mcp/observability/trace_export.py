"""Sends spans to a collector; imported only where traces are configured."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, Status, TraceState, get_current_span
from opentelemetry.util.types import Attributes

import composer_mcp
from composer_mcp.observability.masking import beginning
from composer_mcp.observability.settings import TracesSettings
from composer_mcp.observability.tracing import (
    BATCH_SPANS,
    EXPORTED,
    LONGEST_VALUE,
    METHODS,
    OWN_SCOPE,
    PAUSE_MILLISECONDS,
    SEND_SECONDS,
)
from composer_mcp.security.caller import SCOPES

OTHER = "other"
#: What of the SDK's attributes may have which values.
CALLERS: Mapping[str, Callable[[str], object]] = {
    "mcp.method.name": METHODS.__contains__,
    "gen_ai.tool.name": SCOPES.__contains__,
    "gen_ai.operation.name": {"execute_tool"}.__contains__,
    "mcp.protocol.version": re.compile(r"\d{4}-\d\d-\d\d").fullmatch,
    "rpc.response.status_code": re.compile(r"-?\d{1,6}").fullmatch,
    # A code, or the name of an exception's type.
    "error.type": re.compile(r"-?\w{1,60}").fullmatch,
}


def provider(settings: TracesSettings, headers: Mapping[str, str], service: str) -> TracerProvider:
    """Return what makes spans and sends them."""
    session = requests.Session()
    # A proxy or a password file of the environment is not asked who may see our traces.
    session.trust_env = False
    exporter = OTLPSpanExporter(
        endpoint=settings.endpoint,
        certificate_file=None if settings.authority is None else str(settings.authority),
        headers=dict(headers),
        timeout=SEND_SECONDS,
        compression=Compression.Gzip,
        session=session,
    )
    made = TracerProvider(
        sampler=OwnDecision(settings.sample),
        resource=Resource(
            {
                "service.name": service,
                "service.version": composer_mcp.__version__,
                "host.name": socket.gethostname(),
            }
        ),
        shutdown_on_exit=False,
        span_limits=SpanLimits(
            max_span_attributes=32, max_span_attribute_length=LONGEST_VALUE * 4, max_events=1, max_links=1
        ),
    )
    made.add_span_processor(
        BatchSpanProcessor(
            Discreet(exporter),
            max_queue_size=settings.queue_spans,
            schedule_delay_millis=PAUSE_MILLISECONDS,
            max_export_batch_size=BATCH_SPANS,
        )
    )
    return made


class OwnDecision(Sampler):
    """Decides for each call whether it is traced; what is within the call follows, whoever called.

    A caller may name the trace that a call belongs to, but not that it is recorded: that costs us.
    """

    def __init__(self, share: float) -> None:
        self._ratio = TraceIdRatioBased(share)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """See the SDK."""
        parent = get_current_span(parent_context).get_span_context()
        if parent.is_valid and parent.is_remote:
            # The SDK takes the caller's word; what surrounds the call is our own.
            parent = get_current_span().get_span_context()
        if not parent.is_valid or parent.is_remote:
            return self._ratio.should_sample(None, trace_id, name, kind, attributes, links)
        if parent.trace_flags.sampled:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        """See the SDK."""
        return f"composer-mcp, {self._ratio.get_description()}"


class Discreet(SpanExporter):
    """Hands spans on without what is nobody's business outside; see ``tracing``."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, or what is left of them."""
        return self._exporter.export([_without_texts(span) for span in spans])

    def shutdown(self) -> None:
        """See the SDK."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """See the SDK."""
        return self._exporter.force_flush(timeout_millis)


def _without_texts(span: ReadableSpan) -> ReadableSpan:
    scope = span.instrumentation_scope
    ours = scope is not None and scope.name == OWN_SCOPE
    return ReadableSpan(
        name=beginning(span.name, LONGEST_VALUE) if ours else _known(*span.name.split(" ", 1)),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=dict(_chosen(span.attributes or {}, ours)),
        kind=span.kind,
        instrumentation_scope=scope,
        # Its description is an exception's text.
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _known(method: str, target: str | None = None) -> str:
    """Return how a span of the SDK may be called outside: it is named after what the caller asked for."""
    method = method if method in METHODS else OTHER
    if target is None:
        return method
    return f"{method} {target}" if target in SCOPES else method


def _chosen(attributes: Mapping[str, Any], ours: bool) -> Iterator[tuple[str, Any]]:
    for name, value in attributes.items():
        if name not in EXPORTED:
            continue
        if isinstance(value, str):
            plain = CALLERS.get(name)
            if not ours and (plain is None or not plain(value)):
                value = OTHER
            yield name, beginning(value, LONGEST_VALUE)
        elif isinstance(value, int | float):
            yield name, value
