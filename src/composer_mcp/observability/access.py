"""Outermost layer of the web: correlation id, access line, request metrics, and no plain-text answers."""

from __future__ import annotations

import contextlib
import functools
import random
import re
import time
from contextvars import ContextVar

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from composer_mcp.observability import metrics, tracing
from composer_mcp.observability.logs import Frequent, about, redact
from composer_mcp.observability.masking import beginning

HEADER = b"x-correlation-id"
ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{8,128}")
PATHS = {
    "/mcp",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/pressure",
    "/.well-known/oauth-protected-resource/mcp",
}
ADMIN = "/admin/"
METHODS = {"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}
#: No address of ours is longer; so much of an invented one is enough to tell what was tried.
LONGEST_PATH = 200
LONGEST_METHOD = 20
QUIET = {"/health/live", "/health/ready", "/metrics", "/pressure"}

#: The id of the request being answered; stored with its job, so that the worker's lines carry it too.
correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")
#: What the line of the request being answered will say; filled in by the layers below.
_facts: ContextVar[dict[str, str] | None] = ContextVar("facts", default=None)

log = Frequent(__name__)


def is_stream() -> None:
    """Say that the request being answered is a stream that its client listens to: not slow, but open."""
    facts = _facts.get()
    if facts is not None:
        facts["stream"] = "open"


class AccessLog:
    """Pure ASGI middleware.

    ``require_tls`` refuses requests that came without encryption: the web server is configured to offer
    TLS only, but would fall back to plain text if its certificate became unreadable.
    """

    def __init__(self, app: ASGIApp, *, require_tls: bool) -> None:
        self._app = app
        self._require_tls = require_tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        identity = _identity(given)
        correlation_id.set(identity)
        about.set({"correlation_id": identity})
        # Filled in by the layers below: tenant, tool.
        facts: dict[str, str] = scope.setdefault("state", {}).setdefault("facts", {})
        _facts.set(facts)
        if scope["method"] == "GET" and scope["path"] == "/mcp":
            # The stream of a session, on which the server speaks when it has something to say.
            is_stream()
        status = 500
        began = time.monotonic()

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (HEADER, identity.encode())]
            await send(message)

        try:
            with _measured(scope, identity) as measured:
                trace = tracing.trace_id()
                if trace:
                    facts["trace_id"] = trace
                    about.set({**about.get(), "trace_id": trace})
                if self._require_tls and scope.get("scheme") != "https":
                    await _refuse_plain_text(answer)
                else:
                    await self._app(scope, receive, answer)
                measured.status(status)
        finally:
            seconds = time.monotonic() - began
            requests, durations = _figures(scope["method"], _family(scope["path"]), status)
            requests.inc()
            # Refused, it was no stream.
            (metrics.STREAM_SECONDS if "stream" in facts and status < 300 else durations).observe(seconds)
            log.write(
                "debug" if scope["path"] in QUIET else "info",
                "http.request",
                {
                    # Anybody may send anything here, without a token, and of any length.
                    "method": beginning(scope["method"], LONGEST_METHOD),
                    "path": beginning(scope["path"], LONGEST_PATH),
                    "status": status,
                    "seconds": round(seconds, 4),
                    **facts,
                },
                correlation_id=identity,
            )


def _family(path: str) -> str:
    """Return by what name requests for an address are counted: callers choose addresses, we the names."""
    if path in PATHS:
        return path
    return f"{ADMIN}*" if path.startswith(ADMIN) else "other"


def _measured(scope: Scope, identity: str) -> contextlib.AbstractContextManager[tracing.Span]:
    """Return what traces a request; its trace is ours from the beginning, whatever the caller says."""
    if not tracing.is_on() or scope["path"] in QUIET:
        return tracing.UNTRACED
    method, route = _method(scope["method"]), _family(scope["path"])
    attributes = {
        "http.request.method": method,
        "http.route": route,
        "composer.correlation_id": identity,
    }
    return tracing.span(f"{method} {route}", "server", attributes=attributes, root=True)


def _method(name: str) -> str:
    return name if name in METHODS else "other"


@functools.lru_cache(maxsize=512)
def _figures(method: str, path: str, status: int) -> tuple[Counter, Histogram]:
    """Return what counts such requests; a method that HTTP does not know is not counted by its name."""
    return (
        metrics.HTTP_REQUESTS.labels(_method(method), path, str(status)),
        metrics.HTTP_SECONDS.labels(path),
    )


def _identity(given: bytes) -> str:
    """Return the caller's id, if it can stand in logs, answers and the database; else a new one."""
    if ACCEPTED.fullmatch(given) and redact(given.decode()) == given.decode():
        return given.decode()
    # It tells requests apart and opens nothing, so it need not be hard to guess.
    return f"{random.getrandbits(128):032x}"


async def _refuse_plain_text(send: Send) -> None:
    body = b'{"error":"tls_required","message":"This server answers over TLS only."}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})
