"""What a token may not use it does not see, and what is another school's does not exist."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from composer_mcp.security.caller import SCOPES

from .composer_fixtures import Standin
from .studio import LEGACY, LESSON, MODERN, studio
from .support.installation import Platform, error_of, text_of

__all__ = ["studio"]
pytestmark = pytest.mark.anyio

READ, WRITE, JOBS = "compositions:read", "compositions:write", "jobs:read"


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
@pytest.mark.parametrize("scope", [READ, WRITE, JOBS, f"{READ} {JOBS}"])
async def test_tools_and_prompts_are_shown_to_those_who_may_use_them(
    studio: Platform, mode: str, scope: str
) -> None:
    async with studio.client(studio.issuer.token(scope=scope), mode=mode) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
        listed = {str(each.uri) for each in (await client.list_resources()).resources}
    assert tools == {name for name, needed in SCOPES.items() if needed in scope.split()}
    assert ("review_composition" in prompts) is (READ in scope)
    assert ("plan_lesson" in prompts) is (WRITE in scope)
    assert "composer://widgets" in listed and not any("compositions/" in uri for uri in listed)


async def post(studio: Platform, token: str, method: str, params: dict[str, Any]) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with httpx.AsyncClient(timeout=20) as http:
        return await http.post(studio.url, json=body, headers=headers)


@pytest.mark.parametrize(
    ("method", "params", "needed"),
    [
        ("tools/call", {"name": "restore_version", "arguments": {}}, WRITE),
        ("tools/call", {"name": "cancel_job", "arguments": {}}, WRITE),
        ("resources/read", {"uri": "composer://compositions/H4sIAAAA"}, READ),
        ("resources/read", {"uri": f"composer://previews/{uuid.uuid4()}"}, READ),
        ("resources/read", {"uri": "composer://templates/lesson:x"}, READ),
        ("prompts/get", {"name": "plan_lesson", "arguments": {"topic": "x"}}, WRITE),
    ],
)
async def test_a_missing_scope_is_named_whatever_is_asked_for(
    studio: Platform, method: str, params: dict[str, Any], needed: str
) -> None:
    answer = await post(studio, studio.issuer.token(scope=JOBS), method, params)
    assert answer.status_code == 403
    assert f'scope="{needed}"' in answer.headers["WWW-Authenticate"]


async def refusal(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return how a call is refused, without what differs from call to call."""
    error = error_of(await client.call_tool(tool, arguments))
    error["details"].pop("job_id", None)
    error.pop("correlation_id")
    return error


def changed(uid: str) -> str:
    """Return another uid of the same form, which nobody has."""
    return uid[:-40] + ("A" * 40 if not uid.endswith("A" * 40) else "B" * 40)


async def test_another_schools_composition_does_not_exist_for_any_tool(
    studio: Platform, standin: Standin
) -> None:
    title = f"Segredo {uuid.uuid4()}"
    async with studio.client(studio.issuer.token(tenant="school-a")) as owner:
        made = (
            await owner.call_tool("create_composition", {"lesson": LESSON | {"title": title}})
        ).structured_content
        preview = await owner.call_tool("preview_composition", {"uid": made["uid"]})
        picture = preview.structured_content["picture"]
    job_id = picture.rpartition("/")[2]
    uid, unknown = made["uid"], changed(made["uid"])
    requests = standin.requests()
    async with studio.client(studio.issuer.token(tenant="school-b")) as other:
        for tool, more in {
            "get_composition": {},
            "update_composition": {"change": {"title": "Meu"}, "expected_version": "read-before"},
            "duplicate_composition": {},
            "preview_composition": {},
            "list_versions": {},
            "restore_version": {"version_uid": uid, "confirm": True},
            "apply_template": {"template_id": "lesson:aula-completa"},
        }.items():
            theirs = await refusal(other, tool, {"uid": uid} | more)
            assert theirs["code"] == "composition_not_found", (tool, theirs)
            assert json.dumps(theirs).replace(uid, "") == json.dumps(theirs), "the answer repeats the uid"
        assert standin.requests() == requests, "Composer was asked for another school's composition"
        nobodys = await refusal(other, "get_composition", {"uid": unknown})
        assert nobodys == await refusal(other, "get_composition", {"uid": uid})

        assert await refusal(other, "get_composition", {"uid": made["id"]}) == nobodys
        found = await other.call_tool("search_compositions", {"text": title})
        assert found.structured_content["compositions"] == []
        for tool in ("get_job", "cancel_job"):
            theirs = await refusal(other, tool, {"job_id": job_id})
            strangers = str(uuid.uuid4())
            assert theirs["message"].replace(job_id, "") == (
                await refusal(other, tool, {"job_id": strangers})
            )["message"].replace(strangers, "")
        for uri, none in {
            f"composer://compositions/{uid}": f"composer://compositions/{unknown}",
            picture: f"composer://previews/{uuid.uuid4()}",
        }.items():
            told = []
            for asked in (uri, none):
                with pytest.raises(MCPError) as refused:
                    await other.read_resource(asked)
                assert refused.value.code == INVALID_PARAMS
                told.append(refused.value.message.replace(asked.rpartition("/")[2], ""))
            assert told[0] == told[1]
    # The owner's is as it was.
    async with studio.client(studio.issuer.token(tenant="school-a")) as owner:
        read = await owner.call_tool("get_composition", {"uid": uid})
        assert read.structured_content["title"] == title, text_of(read)
