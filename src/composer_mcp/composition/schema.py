"""JSON schemas for a reader that pays by the word: the tool list is part of every conversation.

``Compact`` leaves out what a language model does not need to write a correct call: titles, defaults of
null, and the lengths of strings (a complaint names the limit to the few who meet it). Every definition is
written where it is used, so the schema has no references and can stand inside another one.
``full`` keeps everything; the checker and the reference read their limits there.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema

JsonSchema = dict[str, Any]


class Compact(GenerateJsonSchema):
    """Generates schemas without titles, references and lengths of strings."""

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        """Return the schema in one piece."""
        whole = super().generate(schema, mode)
        short = _short(inlined(whole))
        if not isinstance(short, dict):
            raise TypeError("a schema is an object")
        return short


def full(model: type[BaseModel]) -> JsonSchema:
    """Return the complete schema of a model, without references."""
    whole = model.model_json_schema(schema_generator=GenerateJsonSchema)
    found = inlined(whole)
    if not isinstance(found, dict):
        raise TypeError("a schema is an object")
    return found


def inlined(schema: JsonSchema) -> Any:
    """Return a schema with every reference replaced by what it points to.

    None of our models contains itself, so this ends.
    """
    definitions = schema.get("$defs", {})

    def visit(node: Any) -> Any:
        if isinstance(node, list):
            return [visit(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            target = definitions[node["$ref"].rpartition("/")[2]]
            return visit(target) | {name: visit(value) for name, value in node.items() if name != "$ref"}
        return {name: visit(value) for name, value in node.items() if name != "$defs"}

    return visit(schema)


def alternatives(node: JsonSchema) -> list[JsonSchema]:
    """Return the forms that a node allows, null left out."""
    forms = node.get("oneOf") or node.get("anyOf") or [node]
    return [form for form in forms if form.get("type") != "null"]


_LEFT_OUT = {"title", "discriminator", "minLength", "maxLength"}
#: A list of at least one says no more than that the field is required.
_SAYS_NOTHING: dict[str, tuple[Any, ...]] = {"default": (None, "", [], False), "minItems": (1,)}


def _short(node: Any) -> Any:
    if isinstance(node, list):
        return [_short(item) for item in node]
    if not isinstance(node, dict):
        return node
    forms = alternatives(node)
    if "anyOf" in node and len(forms) == 1:
        rest = {name: value for name, value in node.items() if name not in ("anyOf", "default")}
        return _short(forms[0] | rest)
    if "const" in node:
        return {"const": node["const"]}
    result: JsonSchema = {}
    for name, value in node.items():
        if name == "properties":
            # A field may bear the name of a keyword, as `title` does.
            result[name] = {field: _short(form) for field, form in value.items()}
        elif name not in _LEFT_OUT and value not in _SAYS_NOTHING.get(name, ()):
            result[name] = _short(value)
    constants = [name for name, form in node.get("properties", {}).items() if "const" in form]
    if constants:
        # What tells the forms apart has a default for our own code only; a caller always writes it.
        required = [name for name in result.get("required", []) if name not in constants]
        result["required"] = [*constants, *required]
    return result
