"""What a tool answers for a finished job, and for an error: the same whoever asks, and whenever."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent
from pydantic import BaseModel

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.engine import JobRecord
from composer_mcp.jobs.requests import Preview
from composer_mcp.mcp.services import Services
from composer_mcp.observability.access import correlation_id

#: A larger picture is not sent along; its key is in the structured content.
PICTURE_LIMIT_BYTES = 5 * 1024 * 1024


async def tool_result(record: JobRecord, services: Services) -> CallToolResult:
    """Return what the tool that submitted a job answers, now that it is finished."""
    try:
        result = record.outcome()
        if isinstance(result, Preview):
            return success(result, await _picture(result, services))
    except ComposerError as error:
        error.details.setdefault("job_id", str(record.id))
        return failure(error)
    return success(result)


def success(result: BaseModel, also: Sequence[ContentBlock] = ()) -> CallToolResult:
    """Return a result as structured content, and as text for clients that know no other.

    The text is the same JSON, as short as JSON can be: which of the two a client shows to its model
    cannot be known, so each must suffice alone, and the results themselves are kept small.
    """
    text = TextContent(type="text", text=result.model_dump_json())
    return CallToolResult(content=[*also, text], structured_content=result.model_dump(mode="json"))


def failure(error: ComposerError) -> CallToolResult:
    """Return an error as a tool result that a language model can act on."""
    content = error.as_dict() | {"correlation_id": correlation_id.get()}
    lines = [f"{error.code.code}: {error.sentence}", error.remedy]
    if "job_id" in error.details:
        lines.append(f"Job: {error.details['job_id']}")
    text = TextContent(type="text", text="\n".join(lines))
    return CallToolResult(content=[text], structured_content={"error": content}, is_error=True)


async def _picture(preview: Preview, services: Services) -> list[ContentBlock]:
    picture = await services.artifacts.get(preview.picture)
    if len(picture) > PICTURE_LIMIT_BYTES:
        return []
    data = base64.b64encode(picture).decode()
    return [ImageContent(type="image", data=data, mime_type="image/png")]
