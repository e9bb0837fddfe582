"""Errors about lessons and documents: what a caller wrote cannot be done."""

from __future__ import annotations

from composer_mcp.errors.kinds import ErrorCode

WIDGET_NOT_FOUND = ErrorCode(
    "widget_not_found",
    status=422,
    sentence="The composition has no widget with the id {widget_id}. Nothing was changed.",
    remedy="Read the composition with get_composition and use an `id` from its `structure`.",
)
NO_HEADING = ErrorCode(
    "no_heading",
    status=422,
    sentence="The composition has no heading, so an author's name has no place. Nothing was changed.",
    remedy="Add a heading with `author_name` through `widgets` instead of giving `author`.",
)
INVALID_LESSON = ErrorCode(
    "invalid_lesson",
    status=422,
    sentence="The {what} breaks {count} rule(s); {told} are told here. Nothing was saved.",
    remedy="Mend each at its path: `nearest` is a valid form in JSON, an example where content was missing. "
    "Then call again with the whole {what}.",
)
UNKNOWN_WIDGET_TYPE = ErrorCode(
    "unknown_widget_type",
    status=404,
    sentence="There is no element type {given}.",
    remedy="Use one of: {types}.",
)
COMPOSITION_FULL = ErrorCode(
    "composition_full",
    status=422,
    sentence="The composition would have {count} widgets, the limit is {limit}. Nothing was changed.",
    remedy="Remove widgets, or make a second composition.",
)
AMBIGUOUS_MOVES = ErrorCode(
    "ambiguous_moves",
    status=422,
    sentence="The {moves} steps that move widgets depend on one another: made twice, as after a broken "
    "connection, they would give another order. Nothing was changed.",
    remedy="Give the new order in one step: {{action: order, widget_ids: [ids from the top down]}}.",
)
