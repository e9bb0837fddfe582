"""The server alone, started by a client as a program that it talks to, in both eras of the protocol."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.support.alone import CLI, Alone

from .inspector import inspect

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

LESSON = '{"title": "Frações", "elements": [{"type": "text", "text": "Metade de um bolo."}]}'


@pytest.fixture
def alone(tmp_path: Path) -> Alone:
    """Its Composer is never asked: nothing here needs a job."""
    secrets = {"composer-token": "header.payload.signature", "composer-project-key": "0" * 32}
    composer = {"project_uid": "project", "connector_uid": "connector"}
    return Alone(tmp_path, composer, {"executable": "/usr/bin/chromium"}, secrets)


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_the_inspector_lists_and_calls(alone: Alone, tmp_path: Path, era: str) -> None:
    # The form in which most clients are told of a server.
    servers = {"composer": {"command": CLI, "args": alone.arguments("stdio")}}
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": servers}))
    target = ["--config", str(file), "--server", "composer", "--protocol-era", era]
    tools = inspect(tmp_path, target, "tools/list", "--strict")["result"]["tools"]
    assert {"create_composition", "validate_lesson"} <= {tool["name"] for tool in tools}
    call = ["--tool-name", "validate_lesson", "--tool-args-json", f'{{"lesson": {LESSON}}}']
    result = inspect(tmp_path, target, "tools/call", *call)["result"]
    assert not result["isError"], result
    assert result["structuredContent"]["valid"] is True


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_the_sdks_client_lists_and_calls(alone: Alone, mode: str) -> None:
    async with alone.stdio(mode) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        found = await client.call_tool("search_compositions", {})
    assert {"create_composition", "validate_lesson"} <= tools
    assert not found.is_error and found.structured_content["compositions"] == []
