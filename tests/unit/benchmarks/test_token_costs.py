"""Our tools stay affordable for a language model."""

from __future__ import annotations

import asyncio

from benchmarks import tokens


def test_tokens_are_counted_with_the_vocabulary_that_the_package_brings() -> None:
    assert tokens.count("") == 0
    assert tokens.count("hello world") == 2
    assert tokens.count_json({"a": "ção"}) == tokens.count('{"a":"ção"}')


def test_a_uid_has_composers_form() -> None:
    assert tokens.uid_of(1).startswith("H4sIAAAA") and 495 < len(tokens.uid_of(1)) < 515
    assert tokens.uid_of(1) != tokens.uid_of(2)


def test_the_list_of_tools_of_a_teacher_costs_at_most_6000_tokens() -> None:
    tools = asyncio.run(tokens.our_tools())
    costs = {tool["name"]: tokens.count_json(tool) for tool in tools}
    assert tokens.count_json(tools) <= tokens.LIST_LIMIT, costs
