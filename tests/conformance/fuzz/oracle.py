"""Judges an answer: whatever came in, a caller gets what the protocol and the error table allow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from composer_mcp.errors import ErrorCode

from .cases import Case
from .wire import Answer

# JSON-RPC's and the protocol's own; -32603 (internal error) is not among them.
PROTOCOL_ERRORS = {-32700, -32600, -32601, -32602, -32000, -32020, -32021, -32022}
# What the web server and the SDK answer without a body of ours, and what for.
BARE = {307, 400, 403, 404, 405, 406, 411, 413, 414, 415, 421, 431, 501}


def problem(case: Case, answer: Answer | None) -> str | None:
    """Return what is wrong with an answer; ``None`` when nothing is."""
    if answer is None:
        return None if case.cut_off else "no answer"
    # 501 is the web server's own: it does not know that method or transfer coding.
    if answer.status >= 500 and answer.status != 501:
        return f"status {answer.status}: {answer.body[:300]!r}"
    if case.stream and answer.status == 200:
        return None
    if "text/event-stream" in answer.headers.get("content-type", ""):
        events = [line[5:] for line in answer.body.decode().splitlines() if line.startswith("data:")]
        return _first(_message(json.loads(event)) for event in events if event.strip())
    if answer.status == 202 and not answer.body:
        return None
    if answer.headers.get("content-type", "").startswith("application/json"):
        return _json(answer)
    if 200 <= answer.status < 300:
        return None if not answer.body else f"an answer of an unknown form: {answer.body[:200]!r}"
    return None if answer.status in BARE else f"status {answer.status} without a code"


def _first(problems: Iterator[str | None]) -> str | None:
    return next((problem for problem in problems if problem is not None), None)


def _json(answer: Answer) -> str | None:
    try:
        body = json.loads(answer.body)
    except ValueError:
        return f"not JSON: {answer.body[:200]!r}"
    if isinstance(body, list):
        return _first(_message(message) for message in body)
    if "jsonrpc" in body:
        return _message(body)
    if answer.status < 300:
        return None  # health, metadata
    return _from_table(body.get("code"))


def _message(message: dict[str, Any]) -> str | None:
    if "error" in message:
        code = message["error"].get("code")
        return (
            None if code in PROTOCOL_ERRORS else f"protocol error {code}: {message['error'].get('message')}"
        )
    result = message.get("result")
    if not isinstance(result, dict) or not result.get("isError"):
        return None
    error = (result.get("structuredContent") or {}).get("error") or {}
    return _from_table(error.get("code")) or (None if error.get("remedy") else f"no remedy: {error}")


def _from_table(code: object) -> str | None:
    if code == "internal":
        return "the server failed in an unexpected way"
    return None if code in ErrorCode.registry else f"an error without a code of the table: {code!r}"
