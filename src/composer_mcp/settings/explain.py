"""Says in an operator's words why a configuration was refused: each key, and what was expected there."""

from __future__ import annotations

import os
from typing import Any

from pydantic import BaseModel, ValidationError

from composer_mcp.errors.kinds import ConfigurationError as ConfigurationError


def explain(heading: str, error: ValidationError, model: type[BaseModel]) -> str:
    """Return the heading, a line for each problem, and what to do."""
    lines = [heading]
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        key = ".".join(str(part) for part in problem["loc"]) or "(whole file)"
        lines.append(f"  {key}: {_expectation(model, problem['type'], problem['msg'], problem['loc'])}")
    lines.append(
        "Mend these keys in the file, or the environment variables that override them. Nothing was started."
    )
    return "\n".join(lines)


def unknown_variable(prefix: str, model: type[BaseModel]) -> str | None:
    """Return what is wrong with the environment: the first variable of ours that sets nothing."""
    known = {name.upper() for name in model.model_fields}
    for name in os.environ:
        section = name.removeprefix(prefix).split("__", 1)[0]
        if name.startswith(prefix) and section not in known:
            return (
                f"the environment variable {name} sets nothing: there is no section {section.lower()}. "
                f"Known: {', '.join(sorted(known)).lower()}."
            )
    return None


def _expectation(model: type[BaseModel], kind: str, message: str, location: tuple[int | str, ...]) -> str:
    if kind == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        return "unknown key" + (f"; known here: {', '.join(known)}" if known else "")
    if kind == "missing":
        return "is required"
    return (
        message[:1].lower() + message[1:].removeprefix("alue error, ")
        if message.startswith("Value")
        else message
    )


def _known_keys(model: Any, location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        arguments = getattr(annotation, "__args__", ())
        model = next((a for a in (annotation, *arguments) if hasattr(a, "model_fields")), None)
        if model is None:
            return []
    return sorted(model.model_fields)
