"""What several tools share: kinds of arguments, and a job from its request to its answer."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BeforeValidator, Field, StringConstraints

from composer_mcp.jobs.requests import AnyRequest
from composer_mcp.mcp.calls import Call, run
from composer_mcp.mcp.completions import uid_in
from composer_mcp.mcp.results import tool_result

#: Visible ASCII: what an identifier of Composer's may consist of.
SENDABLE = r"^[!-~]+$"


def _bare(given: object) -> object:
    """Return the uid at the end of an address, or of what a completion offered; anything else as it is."""
    return uid_in(given) or given if isinstance(given, str) else given


Uid = Annotated[
    str,
    BeforeValidator(_bare),
    StringConstraints(min_length=8, max_length=2000, pattern=r"^[A-Za-z0-9_=-]+$"),
    Field(description="id, or complete uid or url"),
]
Key = Annotated[
    str | None,
    Field(
        min_length=8,
        max_length=200,
        pattern=r"^[\w.:-]+$",
        description="repeated with the same arguments, nothing is done twice",
    ),
]
Expected = Annotated[
    str | None,
    Field(max_length=200, pattern=SENDABLE, description="`version` you have read; refused if changed since"),
]
Position = Annotated[int | None, Field(ge=0, description="0 is the top; default: the end")]


async def done(call: Call, request: AnyRequest, key: str | None = None) -> CallToolResult:
    """Have a job done and answer with what it led to."""
    return await tool_result(await run(call, request, key), call.request_context.lifespan_context)
