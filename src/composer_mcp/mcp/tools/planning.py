"""Before a composition exists: a plan, the widget types, which of them fit, and whether a lesson is right."""

from __future__ import annotations

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import BaseModel, Field, StringConstraints

from composer_mcp.composition import advice, catalogue, guidance
from composer_mcp.composition.advice import Suggestions
from composer_mcp.composition.catalogue import WidgetType
from composer_mcp.composition.fields import Line
from composer_mcp.composition.guidance import Guidance
from composer_mcp.composition.lesson import MAX_TOTAL_CHARACTERS
from composer_mcp.composition.problems import check_lesson
from composer_mcp.jobs.requests import Language
from composer_mcp.mcp.results import success
from composer_mcp.mcp.schemas import LIKE_LESSON, LOOKS, tool
from composer_mcp.mcp.views import plain

Content = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOTAL_CHARACTERS)]
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


async def get_lesson_guidance(
    subject: Annotated[Line | None, Field(description="e.g. Ciências, math")] = None,
    grade: Annotated[Line | None, Field(description="e.g. 7º ano")] = None,
    duration_minutes: Annotated[int, Field(ge=5, le=600)] = 50,
    objectives: Annotated[list[Line] | None, Field(max_length=20)] = None,
    language: Language = "pt_BR",
) -> Annotated[CallToolResult, Guidance]:
    """Plan a lesson: phases with minutes, fitting widget types, questions to think about, tips."""
    return success(
        guidance.lesson_guidance(subject or "", grade or "", duration_minutes, objectives or [], language)
    )


async def suggest_widgets(
    content: Annotated[Content, Field(description="text of the lesson")], language: Language = "pt_BR"
) -> Annotated[CallToolResult, Suggestions]:
    """Choose widgets for given content: ready elements for a lesson, each with the reason."""
    return success(advice.suggest_elements(content, language))


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
    tool(get_lesson_guidance, "Plan a lesson", LOOKS),
    tool(suggest_widgets, "Choose widgets", LOOKS),
    tool(get_widget_catalog, "Widget catalogue", LOOKS),
    tool(validate_lesson, "Check a lesson", LOOKS),
]
