"""What a request asks for that needs a scope, seen before the SDK takes it apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from composer_mcp.composition.json_values import TooMuch, measure
from composer_mcp.errors import REQUEST_TOO_DEEP
from composer_mcp.mcp.prompts import NEEDS
from composer_mcp.mcp.resources import GUARDED
from composer_mcp.security.caller import SCOPES

#: A request on a task needs what the tool needs that does the same to a job.
AS_TOOLS = {"tasks/get": "get_job", "tasks/update": "cancel_job", "tasks/cancel": "cancel_job"}
LISTEN = "subscriptions/listen"
#: What is pushed needs what asking for it needs.
TOPICS = {
    "taskIds": "get_job",
    "resourcesListChanged": "search_compositions",
    "resourceSubscriptions": "get_composition",
}
#: A lesson needs a dozen levels; many more could only make something recurse until it fails.
DEPTH_LIMIT = 64
#: Versions of the protocol whose headers the SDK compares with the body.
CHECKED = frozenset(version.encode() for version in MODERN_PROTOCOL_VERSIONS)
PARTS_LIMIT = 2_000_000


def uses(body: bytes, headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return what a request does that needs a scope, each with the tool whose scope it is.

    A body that is not JSON does nothing, and the SDK says so.

    Raises:
        request_too_deep: its JSON is nested deeper than anything that we understand.
    """
    announced = headers.get(b"mcp-name", b"").decode("latin-1")
    may_be_deep = body.count(b"[") + body.count(b"{") > DEPTH_LIMIT
    is_checked = headers.get(b"mcp-protocol-version") in CHECKED
    if is_checked and not may_be_deep and announced in SCOPES and headers.get(b"mcp-method") == b"tools/call":
        # The SDK refuses a body that says something else than its headers: it need not be read twice.
        return {announced: announced}
    try:
        parsed: Any = json.loads(body)
        if may_be_deep:
            measure(parsed, DEPTH_LIMIT, PARTS_LIMIT)
    except TooMuch:
        raise REQUEST_TOO_DEEP.error(limit=DEPTH_LIMIT) from None
    except RecursionError:
        raise REQUEST_TOO_DEEP.error(limit=DEPTH_LIMIT) from None
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for message in parsed if isinstance(parsed, list) else [parsed]:
        if isinstance(message, dict):
            found |= _of(message, announced)
    return found


def _of(message: dict[str, Any], announced: str) -> dict[str, str]:
    method, parameters = message.get("method"), message.get("params")
    parameters = parameters if isinstance(parameters, dict) else {}
    match method:
        case "tools/call":
            name = parameters.get("name")
            tool = name if isinstance(name, str) else announced
            return {tool: tool}
        case "resources/read":
            uri = parameters.get("uri")
            return {method: "get_composition"} if isinstance(uri, str) and uri.startswith(GUARDED) else {}
        case "prompts/get":
            name = parameters.get("name")
            return {method: NEEDS[name]} if isinstance(name, str) and name in NEEDS else {}
        case "subscriptions/listen":
            return {f"{LISTEN} {topic}": tool for topic, tool in _topics(parameters.get("notifications"))}
        case str() if method in AS_TOOLS:
            return {method: AS_TOOLS[method]}
    return {}


def _topics(wanted: Any) -> Iterator[tuple[str, str]]:
    """Yield what a subscription is to hear of, as far as that needs a scope."""
    if isinstance(wanted, dict):
        yield from ((topic, tool) for topic, tool in TOPICS.items() if wanted.get(topic))
