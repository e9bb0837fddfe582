"""The protocol's inspector, a client of somebody else's, works with the server as its users will."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Web
from .inspector import inspect

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(params=["modern", "legacy"])
def target(request: pytest.FixtureRequest, serving: Web) -> list[str]:
    """The server over HTTP, with a user's token in the header."""
    token = serving.platform.issuer.token()
    return [
        "--server-url", serving.url, "--transport", "http", "--header", f"Authorization: Bearer {token}",
        "--protocol-era", request.param,
    ]  # fmt: skip


def test_it_lists_tools_whose_schemas_every_client_understands(target: list[str], tmp_path: Path) -> None:
    # --strict makes it fail on a schema that some clients cannot read.
    tools = inspect(tmp_path, target, "tools/list", "--strict")["result"]["tools"]
    assert {"create_composition", "get_composition"} <= {tool["name"] for tool in tools}


def test_it_calls_a_tool_and_gets_the_result_of_a_job(target: list[str], tmp_path: Path) -> None:
    arguments = ["--tool-name", "get_composition", "--tool-args-json", '{"uid": "sit-0100"}']
    result = inspect(tmp_path, target, "tools/call", *arguments)["result"]
    assert not result["isError"], result
    assert result["structuredContent"]["document"] == {"attempt": 1, "z": 1, "a": 2}
