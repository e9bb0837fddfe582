"""Tools as clients see them: schemas as short as they can be, and no argument that does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations
from pydantic import TypeAdapter, WithJsonSchema

from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.composition.schema import Compact

READS = ToolAnnotations(read_only_hint=True)
#: What this server itself knows; nobody outside is asked.
LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
#: Not idempotent by itself: only the same idempotency_key makes the same call once.
CREATES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False)
CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False)
RESTORES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)
STOPS = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)


def tool(
    function: Callable[..., Any],
    title: str,
    annotations: ToolAnnotations,
    *,
    meta: dict[str, Any] | None = None,
) -> Tool:
    """Return a tool made of a function, with schemas for readers that pay by the word.

    Its arguments are closed: an unknown one is an error, never silently ignored (see ``arguments``).
    """
    description = " ".join((function.__doc__ or "").split())
    made = Tool.from_function(
        function, title=title, description=description, annotations=annotations, meta=meta
    )
    metadata = made.fn_metadata
    accepted = metadata.arg_model.model_json_schema(schema_generator=Compact)
    made.parameters = {
        "properties": {},
        **_without(accepted, ARGUMENTS_LEAVE_OUT),
        "additionalProperties": False,
    }
    answered = TypeAdapter(metadata.output_model).json_schema(schema_generator=Compact)
    metadata.output_schema = _without(answered, RESULTS_LEAVE_OUT)
    return made


#: Told by the error to the few who would need it; the outermost object says that it is closed.
ARGUMENTS_LEAVE_OUT = frozenset({"additionalProperties", "pattern"})
#: A result explains itself to whoever reads it, and a field without a value is left out of it.
RESULTS_LEAVE_OUT = frozenset({"additionalProperties", "description", "format"})


def _without(schema: Any, names: frozenset[str]) -> Any:
    """Return a schema without some keywords; fields that bear such a name stay."""
    if isinstance(schema, list):
        return [_without(item, names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {field: _without(form, names) for field, form in value.items()}
        if name == "properties"
        else _without(value, names)
        for name, value in schema.items()
        if name not in names
    }


def _merged(forms: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one object that has the fields of all forms; what tells them apart becomes a choice of words."""
    fields: dict[str, Any] = {}
    for form in forms:
        for name, field in form["properties"].items():
            if "const" in field:
                fields.setdefault(name, {"enum": []})["enum"].append(field["const"])
            else:
                fields.setdefault(name, field)
    required = [name for name in fields if all(name in form.get("required", ()) for form in forms)]
    return {"type": "object", "properties": fields, "required": required}


def _change() -> dict[str, Any]:
    whole = CompositionChange.model_json_schema()
    schema: dict[str, Any] = _without(whole, ARGUMENTS_LEAVE_OUT | {"description"})
    schema["properties"]["author"]["description"] = "the name in the first heading"
    steps = schema["properties"]["widgets"]
    step = _merged(steps["items"]["oneOf"])
    step["properties"]["element"] = {
        "type": "object",
        "description": "add, replace: as an element of create_composition's lesson",
    }
    step["properties"]["widget_id"]["description"] = "replace, move, remove: from get_composition"
    step["properties"]["position"]["description"] = "add, move: 0 is the top; add without: the end"
    step["properties"]["widget_ids"]["description"] = "order: all ids in their new order"
    steps["items"] = step
    return schema


#: The one place where the whole schema of a lesson is told; the other tools refer to it.
LESSON = WithJsonSchema(Lesson.model_json_schema())
LIKE_LESSON = WithJsonSchema({"type": "object", "description": "as create_composition's lesson"})
CHANGE = WithJsonSchema(_change())
