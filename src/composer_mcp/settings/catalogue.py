"""Every setting as the reference, the command line and the admin API describe it; read from the models."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from composer_mcp.runtime.keys import CHANGEABLE
from composer_mcp.settings.model import ENVIRONMENT_PREFIX, Settings

TYPES: dict[Any, str] = {
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret text",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; ``name`` is dotted, with ``[]`` where each entry of a list has it.

    ``default`` is JSON, ``None`` if there is none; ``bounds`` is a phrase, empty if all of its type goes.
    """

    name: str
    type: str
    default: str | None
    required: bool
    bounds: str
    variable: str
    description: str
    changeable: bool
    choices: tuple[str, ...] = ()


def every() -> list[Setting]:
    """Return all settings, in the order of the models."""
    return list(_of(Settings, "", ENVIRONMENT_PREFIX))


def by_name() -> dict[str, Setting]:
    """Return all settings by their names."""
    return {setting.name: setting for setting in every()}


def sections() -> dict[str, str]:
    """Return what is said of each section: the first line of its model."""
    found = {}
    for name, field in Settings.model_fields.items():
        model, _ = _model(field.annotation)
        if model is not None:
            found[name] = " ".join((model.__doc__ or "").split("\n\n")[0].split())
    return found


def _of(model: type[BaseModel], prefix: str, variable: str) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        nested, many = _model(field.annotation)
        if nested is None:
            yield _setting(prefix + name, field, variable + name.upper())
        elif many:
            # The whole list is one variable, in JSON.
            for each in _of(nested, f"{prefix}{name}[].", ""):
                yield Setting(
                    **{part: getattr(each, part) for part in Setting.__slots__}
                    | {"variable": variable + name.upper()}
                )
        else:
            yield from _of(nested, f"{prefix}{name}.", f"{variable}{name.upper()}__")


def _model(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the model that a field holds, and whether it holds a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for argument in get_args(annotation):
        if isinstance(argument, type) and issubclass(argument, BaseModel):
            return argument, get_origin(annotation) is list
    return None, False


def _setting(name: str, field: FieldInfo, variable: str) -> Setting:
    default: str | None = None
    if not field.is_required():
        value = field.get_default(call_default_factory=True, validated_data={})
        default = None if value is None or value is PydanticUndefined else json.dumps(value, default=str)
    return Setting(
        name=name,
        type=_type(field.annotation),
        default=default,
        required=field.is_required(),
        bounds=", ".join(_bounds(field)),
        variable=variable,
        description=field.description or "",
        changeable=name in CHANGEABLE,
        choices=_choices(field.annotation),
    )


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(_type(each) for each in arguments if each is not type(None))
    if origin is Literal:
        return f"one of {', '.join(f'`{each}`' for each in arguments)}"
    if origin in (list, tuple):
        return f"list, each {_type(arguments[0])}"
    if origin is dict:
        return f"table, each {_type(arguments[1])}"
    return TYPES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _choices(annotation: Any) -> tuple[str, ...]:
    if annotation is bool:
        return ("true", "false")
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()


def _bounds(field: FieldInfo) -> Iterator[str]:
    one, many = ("entry", "entries") if get_origin(field.annotation) is list else ("character", "characters")
    words = {
        "ge": "at least {}",
        "gt": "more than {}",
        "le": "at most {}",
        "lt": "less than {}",
        "min_length": "at least {} ",
        "max_length": "at most {} ",
        "pattern": "of the form `{}`",
    }
    for part in field.metadata:
        for name, phrase in words.items():
            bound = getattr(part, name, None)
            if bound is not None:
                unit = (one if bound == 1 else many) if phrase.endswith(" ") else ""
                yield phrase.format(bound) + unit
