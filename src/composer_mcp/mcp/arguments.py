"""What is wrong with the arguments of a call, told so that a language model can mend all of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from composer_mcp.errors import INVALID_ARGUMENTS, UNKNOWN_TOOL, ComposerError

if TYPE_CHECKING:
    from mcp.server.mcpserver.tools import Tool

#: More are counted, not told.
PROBLEMS_TOLD = 20
SHOWN_CHARACTERS = 80


def unknown_tool(name: str, usable: Iterable[str]) -> ComposerError:
    """Return the error for a tool that does not exist, with the names that come near it, else all."""
    names = sorted(usable)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names
    return UNKNOWN_TOOL.error(tool=name[:SHOWN_CHARACTERS], tools=", ".join(near))


def unknown_arguments(tool: Tool, arguments: dict[str, Any]) -> ComposerError | None:
    """Return what is wrong with a call that has arguments which the tool does not know; ``None`` if none.

    The SDK would drop them without a word, and the caller would believe that they had done something.
    """
    strange = arguments.keys() - tool.parameters["properties"].keys()
    if not strange:
        return None
    known = {name: value for name, value in arguments.items() if name not in strange}
    try:
        tool.fn_metadata.validate_arguments(known)
    except ValidationError as error:
        return invalid(tool, error, strange)
    return invalid(tool, None, strange)


def invalid(tool: Tool, error: ValidationError | None, strange: Iterable[str] = ()) -> ComposerError:
    """Return the error for arguments that do not fit: each problem with its path, and what comes nearest."""
    names = list(tool.parameters["properties"])
    problems = [unknown(name, names) for name in sorted(strange)]
    if error is not None:
        problems += [_problem(found) for found in error.errors(include_url=False, include_context=True)]
    return INVALID_ARGUMENTS.error(
        tool=tool.name, count=len(problems), problems=problems[:PROBLEMS_TOLD], arguments=_signature(tool)
    )


def unknown(name: str, names: list[str]) -> dict[str, str]:
    """Return the problem of an argument that there is not, with the name that comes nearest."""
    problem = {"path": name[:SHOWN_CHARACTERS], "problem": "is no argument here"}
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return problem | ({"nearest": near[0]} if near else {})


def _problem(found: Any) -> dict[str, str]:
    path = ".".join(str(part) for part in found["loc"])[:SHOWN_CHARACTERS] or "arguments"
    message = found["msg"].removeprefix("Value error, ")
    if found["type"] == "missing":
        return {"path": path, "problem": "is required"}
    problem = {"path": path, "problem": message[:1].lower() + message[1:], "given": shown(found["input"])}
    if found["type"] in {"literal_error", "enum"} and isinstance(found["input"], str):
        choices = [choice.strip("' ") for choice in found["ctx"]["expected"].replace(" or ", ", ").split(",")]
        near = difflib.get_close_matches(found["input"], choices, n=1, cutoff=0.3)
        problem |= {"nearest": near[0]} if near else {}
    return problem


def shown(value: Any) -> str:
    """Return a value so that a message can carry it: short, on one line, without what cannot be sent."""
    text = ascii(value) if not isinstance(value, str) else value
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _signature(tool: Tool) -> str:
    """Return the tool's arguments in one line, those that may be left out in brackets."""
    required = tool.parameters.get("required", [])
    return ", ".join(name if name in required else f"[{name}]" for name in tool.parameters["properties"])
