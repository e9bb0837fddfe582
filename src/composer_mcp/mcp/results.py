"""What a tool answers for a finished job, and for an error: the same whoever asks, and whenever."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent
from pydantic import BaseModel

from composer_mcp.errors import ComposerError
from composer_mcp.jobs.engine import JobRecord
from composer_mcp.jobs.requests import Preview
from composer_mcp.mcp import views
from composer_mcp.mcp.services import Services
from composer_mcp.observability.access import correlation_id
from composer_mcp.observability.masking import redacted

#: A larger picture is not sent along; it can be read as a resource.
PICTURE_LIMIT_BYTES = 5 * 1024 * 1024


async def tool_result(record: JobRecord, services: Services) -> CallToolResult:
    """Return what the tool that submitted a job answers, now that it is finished."""
    try:
        result = record.outcome()
        also = await _picture(result, services) if isinstance(result, Preview) else ()
    except ComposerError as error:
        error.details.setdefault("job_id", str(record.id))
        return failure(error)
    return success(views.of(result, record.id), also)


def success(view: BaseModel, also: Sequence[ContentBlock] = ()) -> CallToolResult:
    """Return a result as structured content, and as text for clients that know no other.

    The text is the same JSON, as short as JSON can be. Which of the two a client shows to its model cannot
    be known, so each must suffice alone; what keeps them cheap is that the results themselves are small.
    A uid, some 330 tokens, is left out of the text where an id stands beside it, or an address that ends with
    it: wherever a uid is asked for, these will do.
    """
    content = views.plain(view)
    told = _in_short(content)
    if not _can_be_sent(told):
        # Half a character, as editors in JavaScript leave one in a text; not every transport can carry it.
        content = sendable(content)
        told = _in_short(content)
    return CallToolResult(content=[*also, TextContent(type="text", text=told)], structured_content=content)


def _in_short(content: dict[str, Any]) -> str:
    told = _without_uid(content)
    if isinstance(found := told.get("compositions"), list):
        told = told | {"compositions": [_without_uid(each) for each in found]}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _without_uid(content: dict[str, Any]) -> dict[str, Any]:
    uid = content.get("uid")
    known = uid and ("id" in content or any(str(value).endswith(f"/{uid}") for value in content.values()))
    return {name: value for name, value in content.items() if name != "uid"} if known else content


def _can_be_sent(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def failure(error: ComposerError) -> CallToolResult:
    """Return an error as a tool result; its text alone is enough to repair the call."""
    # What went wrong may hold what it went wrong with: another party's words, an address, a header.
    content = redacted(sendable(error.as_dict())) | {"correlation_id": correlation_id.get()}
    text = TextContent(type="text", text=in_words(content))
    return CallToolResult(content=[text], structured_content={"error": content}, is_error=True)


def in_words(content: dict[str, Any]) -> str:
    """Return an error, given as its dictionary, as lines to read."""
    lines = [f"{content['code']}: {content['message']}", *map(_told, _problems(content)), content["remedy"]]
    if "job_id" in content["details"]:
        lines.append(f"Job: {content['details']['job_id']}")
    return "\n".join(lines)


def _problems(content: dict[str, Any]) -> list[dict[str, Any]]:
    problems = content["details"].get("problems")
    return [item for item in problems if isinstance(item, dict)] if isinstance(problems, list) else []


def _told(problem: dict[str, Any]) -> str:
    """Return one line about one problem: where, what, what was given, what comes nearest."""
    line = f"- {problem.get('path', '')}: {problem.get('problem', '')}"
    if problem.get("given") is not None:
        line += f"; given: {problem['given']}"
    if problem.get("nearest") is not None:
        line += f"; nearest valid: {problem['nearest']}"
    return line


def sendable(content: dict[str, Any]) -> dict[str, Any]:
    """Return JSON values without unpaired surrogates, which a caller may send but nobody can send back."""
    text = json.dumps(content, ensure_ascii=False, default=str).encode("utf-8", "replace")
    cleaned: dict[str, Any] = json.loads(text)
    return cleaned


def cause(error: BaseException | None) -> ComposerError | None:
    """Return the error of our table that is behind what the SDK raised, if there is one."""
    while error is not None and not isinstance(error, ComposerError):
        error = error.__cause__
    return error


async def _picture(preview: Preview, services: Services) -> list[ContentBlock]:
    if preview.picture is None:
        return []
    picture = await services.artifacts.get(preview.picture)
    if len(picture) > PICTURE_LIMIT_BYTES:
        return []
    data = base64.b64encode(picture).decode()
    return [ImageContent(type="image", data=data, mime_type="image/png")]
