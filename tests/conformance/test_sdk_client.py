"""The SDK's own client does everything that a user does, in both eras of the protocol."""

from __future__ import annotations

import pytest
from mcp_types import ElicitRequestParams, ElicitResult, PromptReference, TextContent, TextResourceContents

from tests.integration.support.installation import error_of

from .conftest import Web

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
ERAS = ["2026-07-28", "legacy"]


@pytest.mark.parametrize("mode", ERAS)
async def test_tools_resources_prompts_and_completions(serving: Web, mode: str) -> None:
    async with serving.platform.client(mode=mode) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        called = await client.call_tool("get_composition", {"uid": "sit-0010"})
        wrong = await client.call_tool("get_composition", {"uid": "?"})
        resources = {str(each.uri) for each in (await client.list_resources()).resources}
        read = (await client.read_resource("test://static-text")).contents[0]
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
        prompt = await client.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
        completed = await client.complete(
            PromptReference(type="ref/prompt", name="test_prompt_with_arguments"),
            {"name": "arg1", "value": "x"},
        )

    assert "create_composition" in tools
    assert not called.is_error and called.structured_content["uid"] == "sit-0010"
    assert error_of(wrong)["code"] == "invalid_arguments"
    assert "test://static-text" in resources
    assert isinstance(read, TextResourceContents) and read.text
    assert "test_simple_prompt" in prompts
    assert isinstance(prompt.messages[0].content, TextContent)
    assert "arg1='a'" in prompt.messages[0].content.text
    assert completed.completion.values == []


@pytest.mark.parametrize(
    ("mode", "tool"),
    [("2026-07-28", "test_input_required_result_elicitation"), ("legacy", "test_elicitation")],
)
async def test_the_server_asks_and_the_user_answers(conversing: Web, mode: str, tool: str) -> None:
    asked: list[str] = []

    async def answer(_context: object, question: ElicitRequestParams) -> ElicitResult:
        asked.append(question.message)
        content: dict[str, str | int | float | bool | list[str] | None] = {
            "name": "Ana", "username": "Ana", "email": "ana@school.test",
        }  # fmt: skip
        return ElicitResult(action="accept", content=content)

    arguments = {"message": "Who are you?"} if tool == "test_elicitation" else {}
    async with conversing.platform.client(mode=mode, elicitation_callback=answer) as client:
        result = await client.call_tool(tool, arguments)

    assert len(asked) == 1
    assert isinstance(result.content[0], TextContent) and "Ana" in result.content[0].text
