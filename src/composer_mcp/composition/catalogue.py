"""The elements of a lesson, described for who writes one: purpose, fields, limits, example, mistakes.

Names, types and limits are read from the models; words in both languages, examples and mistakes from
``catalogue.json``. A test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, Field

from composer_mcp.composition import elements, names
from composer_mcp.composition.building import model as widget_of
from composer_mcp.composition.json_values import copied
from composer_mcp.composition.schema import JsonSchema, alternatives, full
from composer_mcp.composition.vocabulary import ELEMENT_TYPES, Language, Term, find, language_of
from composer_mcp.composition.widgets import UNCONFIRMED
from composer_mcp.errors import UNKNOWN_WIDGET_TYPE


class WidgetType(BaseModel):
    """One type of element."""

    type: str
    name: str
    purpose: str


class WidgetTypes(BaseModel):
    """All types of elements."""

    types: list[WidgetType]


class FieldDescription(BaseModel):
    """One field; `a[].b` is the field b of each entry of the list a."""

    name: str
    type: str
    required: bool = False
    limits: str | None = None
    meaning: str


class WidgetDescription(BaseModel):
    """One type of element, in full."""

    type: str
    name: str
    purpose: str
    composer_type: str = Field(description="how Composer calls it in documents")
    confirmed: bool = Field(description="false: how Composer stores it is an assumption; look at a preview")
    fields: list[FieldDescription]
    example: dict[str, Any]
    common_mistakes: list[str]


def widget_types(language: str) -> WidgetTypes:
    """Return all types of elements with their purpose."""
    chosen = language_of(language)
    return WidgetTypes(
        types=[
            WidgetType(
                type=name, name=ELEMENT_TYPES[name].label(chosen), purpose=_words()[name]["purpose"][chosen]
            )
            for name in elements.ELEMENTS
        ]
    )


def describe(type_: str, language: str) -> WidgetDescription:
    """Return everything about one type of element; Composer's own name for it is understood, too.

    Raises:
        unknown_widget_type: there is none of this name.
    """
    chosen = language_of(language)
    name = _name(type_)
    words = _words()[name]
    composer_type = composer_types()[name]
    return WidgetDescription(
        type=name,
        name=ELEMENT_TYPES[name].label(chosen),
        purpose=words["purpose"][chosen],
        composer_type=composer_type,
        confirmed=composer_type not in UNCONFIRMED,
        fields=list(_fields(name, chosen)),
        example=copied(words["example"]),
        common_mistakes=list(words["mistakes"][chosen]),
    )


@cache
def composer_types() -> dict[str, str]:
    """Return for each element the type of the widget that it becomes."""
    return {
        name: widget_of(model.model_validate(_words()[name]["example"]), "id").type
        for name, model in elements.ELEMENTS.items()
    }


def fields(type_: str) -> Iterator[tuple[str, JsonSchema, bool]]:
    """Yield name, schema and necessity of each field of an element, those of its parts after their list."""
    yield from _walk(full(elements.ELEMENTS[type_]), "")


def _walk(node: JsonSchema, prefix: str) -> Iterator[tuple[str, JsonSchema, bool]]:
    for name, field in node["properties"].items():
        if "const" in field:
            continue
        form = alternatives(field)[0]
        yield f"{prefix}{name}", form, name in node.get("required", ())
        items = form.get("items", {})
        if items.get("type") == "object":
            yield from _walk(items, f"{prefix}{name}[].")


def _fields(name: str, language: Language) -> Iterator[FieldDescription]:
    meanings = _words()[name]["fields"]
    for field, form, required in fields(name):
        yield FieldDescription(
            name=field,
            type=type_words(form),
            required=required,
            limits=limit_words(form),
            meaning=meanings[field][language],
        )


def type_words(form: JsonSchema) -> str:
    """Return the type of a field in one or two words."""
    if "enum" in form:
        return "text"
    match form.get("type"):
        case "string":
            pattern = form.get("pattern", "")
            return "address" if pattern == "^https://" else "colour" if pattern.startswith("^#") else "text"
        case "array":
            return "list of texts" if form["items"].get("type") == "string" else "list of objects"
        case "integer":
            return "whole number"
        case other:
            return str(other)


def limit_words(form: JsonSchema) -> str | None:
    """Return the limits of a field in a few words."""
    if "enum" in form:
        return "one of " + ", ".join(map(str, form["enum"]))
    if form.get("pattern") == "^https://":
        return f"https://…, at most {form['maxLength']} characters"
    if form.get("pattern", "").startswith("^#"):
        return "#RRGGBB"
    if "maxLength" in form:
        return f"{form.get('minLength', 0)} to {form['maxLength']} characters"
    if "maxItems" in form:
        return f"{form.get('minItems', 0)} to {form['maxItems']} entries"
    if "maximum" in form:
        return f"{form['minimum']:g} to {form['maximum']:g}"
    return None


def _name(written: str) -> str:
    short = written[: names.LONGEST_NAME]
    term: Term | None = find(ELEMENT_TYPES, short)
    name = term.value if term else names.tag(short, elements.ELEMENTS)
    if name is None:
        raise UNKNOWN_WIDGET_TYPE.error(given=names.shortened(written), types=", ".join(elements.ELEMENTS))
    return name


@cache
def _words() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("catalogue.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
