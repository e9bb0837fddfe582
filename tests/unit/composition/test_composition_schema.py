"""The schema of a lesson costs a model few words, and still says what a right lesson is."""

from __future__ import annotations

import json

from hypothesis import given

from composer_mcp.composition.elements import ELEMENTS
from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.composition.schema import JsonSchema, full
from tests.unit.composition.strategies import LESSONS, patient


def fields(schema: JsonSchema) -> set[str]:
    """Return every name of a field anywhere in a schema."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            found |= node.get("properties", {}).keys()
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return found


def test_the_schema_is_short_and_stands_by_itself() -> None:
    text = json.dumps(Lesson.model_json_schema(), separators=(",", ":"))
    assert len(text) < 5_200
    assert '"$ref"' not in text and '"$defs"' not in text
    assert len(text) < 0.6 * len(json.dumps(full(Lesson)))


def test_no_field_is_lost_by_shortening() -> None:
    for model in (Lesson, CompositionChange):
        assert fields(model.model_json_schema()) == fields(full(model))


def test_every_element_must_say_its_type() -> None:
    forms = Lesson.model_json_schema()["properties"]["elements"]["items"]["oneOf"]
    assert [form["properties"]["type"]["const"] for form in forms] == list(ELEMENTS)
    assert all(form["required"][0] == "type" for form in forms)


def fits(value: object, node: JsonSchema) -> bool:
    """Whether a value has the form that the short schema tells: names, types, choices, what is required."""
    if "oneOf" in node:
        return sum(fits(value, form) for form in node["oneOf"]) == 1
    if "const" in node or "enum" in node:
        return value in node.get("enum", [node.get("const")])
    match node["type"]:
        case "object":
            return (
                isinstance(value, dict)
                and set(node.get("required", ())) <= value.keys() <= node["properties"].keys()
                and all(fits(item, node["properties"][name]) for name, item in value.items())
            )
        case "array":
            return isinstance(value, list) and all(fits(item, node["items"]) for item in value)
        case kind:
            types = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
            return isinstance(value, types[kind])


@patient
@given(LESSONS)
def test_what_is_valid_fits_the_short_schema(raw: dict[str, object]) -> None:
    assert Lesson.model_validate(raw)
    assert fits(raw, Lesson.model_json_schema())
