"""A call from the client to the worker and back."""

from __future__ import annotations

import pytest

from composer_mcp.security.caller import SCOPES

from .support.installation import Platform

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_a_call_is_done_by_a_worker_and_reports_progress(serving: Platform, mode: str) -> None:
    heard: list[tuple[float, str | None]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async with serving.client(mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        result = await client.call_tool("get_composition", {"uid": "sit-0600"}, progress_callback=listen)

    assert set(tools) == set(SCOPES)
    assert all(tool.title and tool.annotations and tool.output_schema for tool in tools.values())
    assert not result.is_error, result
    # Keys come back in the order in which they were written.
    assert list(result.structured_content["document"]) == ["attempt", "z", "a"]
    assert (0.1, "begun") in heard
