"""The tool list costs a model little, and says what a client needs to know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import bpe_openai
import pytest
from mcp.server.mcpserver.tools import Tool

from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.mcp import prompts, tools
from composer_mcp.security.caller import SCOPES

#: Tokens of the vocabulary o200k_base, for all tools as they are sent.
LIMIT = 6_000

BY_NAME = {tool.name: tool for tool in tools.ALL}


def sent(tool: Tool) -> str:
    """Return a tool as ``tools/list`` sends it."""
    whole = {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.parameters,
        "outputSchema": tool.output_schema,
        "annotations": tool.annotations.model_dump(by_alias=True, exclude_none=True),
        "_meta": tool.meta,
    }
    known = {name: value for name, value in whole.items() if value is not None}
    return json.dumps(known, ensure_ascii=False, separators=(",", ":"))


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema inside a schema."""
    if isinstance(schema, dict):
        yield schema
        for name, value in schema.items():
            yield from nodes(list(value.values()) if name == "properties" else value)
    elif isinstance(schema, list):
        for item in schema:
            yield from nodes(item)


def test_all_tools_together_are_short() -> None:
    text = f"[{','.join(map(sent, tools.ALL))}]"
    assert len(bpe_openai.get_encoding("o200k_base").encode(text)) <= LIMIT


def test_only_one_tool_carries_the_whole_lesson() -> None:
    carriers = [tool.name for tool in tools.ALL if "flashcards" in sent(tool)]
    assert carriers == ["create_composition"]
    assert set(BY_NAME["create_composition"].parameters["properties"]["lesson"]["properties"]) == set(
        Lesson.model_fields
    )


def test_a_change_is_described_with_all_its_fields() -> None:
    change = BY_NAME["update_composition"].parameters["properties"]["change"]
    assert set(change["properties"]) == set(CompositionChange.model_fields)
    steps = CompositionChange.model_json_schema()["properties"]["widgets"]["items"]["oneOf"]
    fields = {name for step in steps for name in step["properties"]}
    actions = {step["properties"]["action"]["const"] for step in steps}
    item = change["properties"]["widgets"]["items"]
    assert set(item["properties"]) == fields
    assert set(item["properties"]["action"]["enum"]) == actions


@pytest.mark.parametrize("tool", tools.ALL, ids=lambda tool: tool.name)
def test_a_tool_says_what_it_is(tool: Tool) -> None:
    assert tool.title and tool.description and "\n" not in tool.description
    assert tool.annotations.read_only_hint is not None
    assert tool.parameters["additionalProperties"] is False
    assert tool.output_schema["type"] == "object" and tool.output_schema["properties"]
    assert tool.name in SCOPES
    for schema in (tool.parameters, tool.output_schema):
        assert not [node for node in nodes(schema) if isinstance(node.get("title"), str) or "$ref" in node]


def test_what_destroys_says_so() -> None:
    destructive = {tool.name for tool in tools.ALL if tool.annotations.destructive_hint}
    assert destructive == {"update_composition", "restore_version", "cancel_job"}
    writing = {tool.name for tool in tools.ALL if not tool.annotations.read_only_hint}
    assert {name for name in writing if name != "cancel_job"} == {
        name for name, scope in SCOPES.items() if scope == "compositions:write" and name != "cancel_job"
    }


def test_every_scope_belongs_to_a_tool_and_every_prompt_leads_to_one() -> None:
    assert set(SCOPES) == set(BY_NAME)
    assert set(prompts.NEEDS.values()) <= set(BY_NAME)
    assert set(BY_NAME) >= tools.DURABLE and tools.DURABLE.isdisjoint(tools.IMMEDIATE)
