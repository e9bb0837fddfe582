"""Before a composition exists: which widgets there are, and whether a lesson is right."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel, Field, StringConstraints

from composer_mcp.composition import catalogue
from composer_mcp.composition.catalogue import WidgetType
from composer_mcp.composition.problems import check_lesson
from composer_mcp.jobs.requests import Language
from composer_mcp.mcp.results import success
from composer_mcp.mcp.schemas import LIKE_LESSON, LOOKS, tool
from composer_mcp.mcp.views import plain

TypeName = Annotated[str, StringConstraints(max_length=100)]


class Catalog(BaseModel):
    """All types, or one in full."""

    types: list[WidgetType] | None = None
    widget: dict[str, Any] | None = None


class Verdict(BaseModel):
    """A lesson that can be made."""

    valid: bool
    title: str
    widgets: list[str] = Field(description="types in reading order")


async def get_widget_catalog(
    type: Annotated[TypeName | None, Field(description="default: all types, briefly")] = None,
    language: Language = "pt_BR",
) -> Annotated[CallToolResult, Catalog]:
    """List the widget types, or describe one: fields, limits, example, common mistakes."""
    if type is None:
        return success(Catalog(types=catalogue.widget_types(language).types))
    return success(Catalog(widget=plain(catalogue.describe(type, language))))


async def validate_lesson(
    lesson: Annotated[dict[str, Any], LIKE_LESSON],
) -> Annotated[CallToolResult, Verdict]:
    """Check a lesson without making anything; every broken rule is told with the nearest valid form."""
    checked = check_lesson(lesson)
    return success(
        Verdict(valid=True, title=checked.title, widgets=[element.type for element in checked.elements])
    )


TOOLS = [
    tool(get_widget_catalog, "Widget catalogue", LOOKS),
    tool(validate_lesson, "Check a lesson", LOOKS),
]
