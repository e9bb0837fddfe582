"""Receivers of traces (OTLP over HTTP) and of error reports (Sentry's protocol), as small as they can be."""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as it was sent and unpacked."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Span:
    """One span of a trace."""

    name: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any] = field(default_factory=dict)


class Receiver:
    """Takes whatever is sent to it, and keeps it."""

    def __init__(self) -> None:
        received: list[Received] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                packed = self.headers.get("Content-Encoding", "")
                if packed == "gzip":
                    body = gzip.decompress(body)
                elif packed == "deflate":
                    body = zlib.decompress(body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                received.append(Received(self.path, headers, body))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *arguments: Any) -> None:
                """Say nothing."""

        self.received = received
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def everything(self) -> bytes:
        """All that was ever sent: bodies, addresses, headers."""
        parts = [
            line
            for each in self.received
            for line in (each.path.encode(), json.dumps(each.headers).encode(), each.body)
        ]
        return b"\n".join(parts)

    @property
    def spans(self) -> list[Span]:
        """All spans that have arrived."""
        found = []
        for each in self.received:
            request = ExportTraceServiceRequest.FromString(each.body)
            for resource in request.resource_spans:
                about = _plain(resource.resource.attributes)
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        found.append(
                            Span(
                                span.name, about["service.name"], span.trace_id.hex(), span.span_id.hex(),
                                span.parent_span_id.hex(), _plain(span.attributes),
                            )
                        )  # fmt: skip
        return found

    @property
    def reports(self) -> list[dict[str, Any]]:
        """All events that have arrived in envelopes."""
        found = []
        for each in self.received:
            lines = each.body.split(b"\n")
            for head, payload in zip(lines[1::2], lines[2::2], strict=False):
                if json.loads(head).get("type") == "event":
                    found.append(json.loads(payload))
        return found

    def wait_until(self, arrived: Callable[[], bool], seconds: float = 40) -> None:
        """Wait until something has arrived."""
        deadline = time.monotonic() + seconds
        while not arrived():
            assert time.monotonic() < deadline, f"it did not arrive; {len(self.received)} requests did"
            time.sleep(0.1)


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
