"""Templates: whole lessons to fill in, and stored elements of the project."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field, StringConstraints, WithJsonSchema

from composer_mcp.composition.fields import Line, Prose
from composer_mcp.jobs.requests import (
    ApplyTemplate,
    GetTemplate,
    Language,
    ListTemplates,
    Template,
    Templates,
)
from composer_mcp.mcp.calls import Call
from composer_mcp.mcp.schemas import CREATES, READS, tool
from composer_mcp.mcp.tools.common import Expected, Key, Position, Uid, done
from composer_mcp.mcp.views import SavedView

TemplateId = Annotated[
    str,
    StringConstraints(min_length=3, max_length=2000, pattern=r"^(lesson|element):[A-Za-z0-9_.=-]+$"),
    Field(description="from list_templates"),
]

#: More than any template has.
MAX_VALUES = 200
Values = Annotated[
    dict[Line, Prose],
    Field(max_length=MAX_VALUES),
    WithJsonSchema({"type": "object", "description": "texts by names of get_template's `placeholders`"}),
]


async def list_templates(call: Call, language: Language = "pt_BR") -> Annotated[CallToolResult, Templates]:
    """List lesson templates and the project's element templates."""
    return await done(call, ListTemplates(language=language))


async def get_template(
    template_id: TemplateId, call: Call, language: Language = "pt_BR"
) -> Annotated[CallToolResult, Template]:
    """Read a template; fill in a lesson template with apply_template or create_composition."""
    return await done(call, GetTemplate(template_id=template_id, language=language))


async def apply_template(
    template_id: TemplateId,
    call: Call,
    uid: Annotated[Uid | None, Field(description="insert there; default: a new composition")] = None,
    position: Position = None,
    title: Annotated[Line | None, Field(description="of the new composition")] = None,
    author: Line | None = None,
    values: Values | None = None,
    language: Language = "pt_BR",
    expected_version: Expected = None,
    idempotency_key: Key = None,
) -> Annotated[CallToolResult, SavedView]:
    """Put a template's widgets into a composition, or make a new composition of them."""
    request = ApplyTemplate(
        template_id=template_id,
        language=language,
        uid=uid,
        position=position,
        expected_version=expected_version,
        title=title,
        author=author,
        values=values or {},
    )
    return await done(call, request, idempotency_key)


TOOLS = [
    tool(list_templates, "List templates", READS),
    tool(get_template, "Read a template", READS),
    tool(apply_template, "Apply a template", CREATES),
]
