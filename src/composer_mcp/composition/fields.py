"""The kinds of values that a caller may give: lines, prose, addresses, colours, with their limits.

Each complaint has a type of its own, from which ``problems`` makes advice on how to repair it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import PydanticCustomError

from composer_mcp.composition.schema import Compact

LINE_LIMIT = 300
PROSE_LIMIT = 20_000
DESCRIPTION_LIMIT = 2_000
ADDRESS_LIMIT = 2_000

# PostgreSQL refuses U+0000 in JSON, and unpaired surrogates cannot be sent as UTF-8 at all.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
COLOUR = r"^#[0-9A-Fa-f]{6}$"
LANGUAGE = r"^[a-z]{2}(_[a-z]{2})?$"


def _unix_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _printable(text: str) -> str:
    if found := CONTROL.search(text):
        raise PydanticCustomError(
            "control_character",
            "remove the control character {character}",
            {"character": f"U+{ord(found[0]):04X}"},
        )
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise PydanticCustomError("several_lines", "must be a single line: remove line breaks and tabs")
    return text


def _https_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        host = None
    if host is None or parts.scheme != "https" or parts.username or parts.password or re.search(r"\s", text):
        raise PydanticCustomError(
            "not_https", "must be a complete https:// address without user name or spaces"
        )
    return text


def _distinct(tags: list[str]) -> list[str]:
    if len({tag.casefold() for tag in tags}) != len(tags):
        raise PydanticCustomError("repeated_tag", "each tag may appear once")
    return tags


Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LINE_LIMIT),
    AfterValidator(_unix_lines),
    AfterValidator(_printable),
    AfterValidator(_one_line),
]
Prose = Annotated[
    str,
    StringConstraints(min_length=1, max_length=PROSE_LIMIT),
    AfterValidator(_unix_lines),
    AfterValidator(_printable),
]
Description = Annotated[
    str,
    StringConstraints(max_length=DESCRIPTION_LIMIT),
    AfterValidator(_unix_lines),
    AfterValidator(_printable),
]
Address = Annotated[
    str,
    StringConstraints(max_length=ADDRESS_LIMIT),
    AfterValidator(_printable),
    AfterValidator(_https_address),
    WithJsonSchema({"type": "string", "maxLength": ADDRESS_LIMIT, "pattern": "^https://"}),
]
Colour = Annotated[str, StringConstraints(pattern=COLOUR)]
LanguageTag = Annotated[str, StringConstraints(pattern=LANGUAGE)]
WidgetId = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_printable)]
Tag = Annotated[
    str, StringConstraints(min_length=1, max_length=60), AfterValidator(_printable), AfterValidator(_one_line)
]
Tags = Annotated[list[Tag], AfterValidator(_distinct)]

Subject = Literal["science", "math", "history", "geography", "language", "arts"]


class Strict(BaseModel):
    """Base: no silent conversions, no unknown fields, surrounding white space removed."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)

    @classmethod
    def model_json_schema(
        cls,
        by_alias: bool | None = None,
        ref_template: str = "#/$defs/{model}",
        schema_generator: type[GenerateJsonSchema] = Compact,
        mode: JsonSchemaMode = "validation",
        **options: Any,
    ) -> dict[str, Any]:
        """Return the schema as a language model reads it: short, in one piece (see ``schema``)."""
        return super().model_json_schema(by_alias, ref_template, schema_generator, mode, **options)
