"""Steps that take content away ask a person first, and do nothing before the answer."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import ElicitRequestParams, ElicitResult

from .composer_fixtures import Chromium, Standin
from .studio import LEGACY, LESSON, MODERN, studio
from .support.alone import CLI, Alone
from .support.installation import Platform, error_of, text_of

__all__ = ["studio"]
pytestmark = pytest.mark.anyio


class Person:
    """Answers questions, and remembers them."""

    def __init__(self, action: str = "accept", **content: Any) -> None:
        self._answer = ElicitResult(action=action, content=content or None)
        self.asked: list[str] = []

    async def __call__(self, _context: Any, question: ElicitRequestParams) -> ElicitResult:
        self.asked.append(question.message)
        return self._answer


async def make(client: Client, **changes: Any) -> dict[str, Any]:
    lesson = LESSON | {"title": f"Consentimento {uuid.uuid4()}"} | changes
    made = await client.call_tool("create_composition", {"lesson": lesson})
    assert not made.is_error, text_of(made)
    return (
        await client.call_tool("get_composition", {"uid": made.structured_content["uid"]})
    ).structured_content


def removal(composition: dict[str, Any]) -> dict[str, Any]:
    step = {"action": "remove", "widget_id": composition["widgets"][-1]["id"]}
    version = composition["version"]
    return {"uid": composition["uid"], "change": {"widgets": [step]}, "expected_version": version}


async def widgets(client: Client, composition: dict[str, Any]) -> int:
    read = await client.call_tool("get_composition", {"uid": composition["uid"]})
    return len(read.structured_content["widgets"])


async def test_the_person_agrees_and_any_process_goes_on(studio: Platform) -> None:
    # Two web processes share the connections: each must open what the other has sealed.
    for number in range(1, 7):
        person = Person(agree=True)
        async with studio.client(mode=MODERN, elicitation_callback=person) as client:
            composition = await make(client)
            done = await client.call_tool("update_composition", removal(composition))
            assert not done.is_error, f"call {number}: {text_of(done)}"
            assert await widgets(client, composition) == 2
        assert person.asked == [
            "Remover 1 e substituir 0 elemento(s) da composição? / "
            "Remove 1 and replace 0 widget(s) of the composition?"
        ]


@pytest.mark.parametrize(
    ("person", "told"),
    [
        (Person("decline"), "decline"),
        (Person("cancel"), "cancel"),
        (Person(agree=False), "did not agree"),
    ],
    ids=["decline", "cancel", "unticked"],
)
async def test_without_agreement_nothing_is_done(studio: Platform, person: Person, told: str) -> None:
    async with studio.client(mode=MODERN, elicitation_callback=person) as client:
        composition = await make(client)
        for tool, arguments in {
            "update_composition": removal(composition),
            "restore_version": {"uid": composition["uid"], "version_uid": "H4sIAAAA"},
        }.items():
            refused = await client.call_tool(tool, arguments)
            assert error_of(refused)["code"] == "not_confirmed"
            assert told in refused.content[0].text and "Nothing was changed" in refused.content[0].text
        assert await widgets(client, composition) == 3
    assert len(person.asked) == 2


async def test_an_answer_beside_the_form_is_no_agreement(studio: Platform) -> None:
    async with studio.client(mode=MODERN, elicitation_callback=Person(yes="please")) as client:
        composition = await make(client)
        refused = await client.call_tool("update_composition", removal(composition))
        assert error_of(refused)["code"] == "not_confirmed"
        assert await widgets(client, composition) == 3


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_a_client_that_cannot_ask_says_that_it_has_asked(studio: Platform, mode: str) -> None:
    async with studio.client(mode=mode) as client:
        composition = await make(client)
        refused = await client.call_tool("update_composition", removal(composition))
        assert error_of(refused)["code"] == "confirmation_needed"
        assert "`confirm: true`" in refused.content[0].text and "Remove 1" in refused.content[0].text
        assert await widgets(client, composition) == 3
        done = await client.call_tool("update_composition", removal(composition) | {"confirm": True})
        assert not done.is_error, text_of(done)
        assert await widgets(client, composition) == 2


async def test_confirming_does_not_go_round_a_person_who_can_be_asked(studio: Platform) -> None:
    person = Person("decline")
    async with studio.client(mode=MODERN, elicitation_callback=person) as client:
        composition = await make(client)
        refused = await client.call_tool("update_composition", removal(composition) | {"confirm": True})
        assert error_of(refused)["code"] == "not_confirmed" and person.asked


async def test_what_takes_nothing_away_asks_nobody(studio: Platform) -> None:
    person = Person("decline")
    async with studio.client(mode=MODERN, elicitation_callback=person) as client:
        composition = await make(client)
        change = {
            "title": "Outro",
            "widgets": [
                {"action": "add", "element": {"type": "text", "text": "Mais."}},
                {"action": "move", "widget_id": composition["widgets"][1]["id"], "position": 2},
            ],
        }
        arguments = {"uid": composition["uid"], "change": change, "expected_version": composition["version"]}
        done = await client.call_tool("update_composition", arguments)
        assert not done.is_error and not person.asked


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"title": "Meu"}, "title"),
        ({"description": ""}, "description"),
        ({"author": "Ana"}, "author"),
        ({"tags": []}, "tags"),
        ({"widgets": [{"action": "remove", "widget_id": "ID"}]}, "remove"),
        ({"widgets": [{"action": "move", "widget_id": "ID", "position": 0}]}, "move"),
        ({"widgets": [{"action": "order", "widget_ids": ["ID"]}]}, "order"),
        (
            {"widgets": [{"action": "replace", "widget_id": "ID", "element": {"type": "text", "text": "x"}}]},
            "replace",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_nobodys_edit_is_overwritten_unseen(studio: Platform, change: Any, what: str) -> None:
    person = Person(agree=True)
    async with studio.client(mode=MODERN, elicitation_callback=person) as client:
        mine = await make(client)
        change = json.loads(json.dumps(change).replace('"ID"', json.dumps(mine["widgets"][-1]["id"])))
        arguments = {"uid": mine["uid"], "change": change}
        refused = await client.call_tool("update_composition", arguments)
        assert error_of(refused)["code"] == "version_needed" and not person.asked
        assert f"({what})" in text_of(refused) and "expected_version" in text_of(refused)
        more = {"widgets": [{"action": "add", "element": {"type": "text", "text": "Mais."}}]}
        added = await client.call_tool("update_composition", {"uid": mine["uid"], "change": more})
        assert not added.is_error, text_of(added)
        stale = await client.call_tool(
            "update_composition", arguments | {"expected_version": mine["version"]}
        )
        assert error_of(stale)["code"] == "version_conflict"
        now = added.structured_content["version"]
        done = await client.call_tool("update_composition", arguments | {"expected_version": now})
        assert not done.is_error, text_of(done)


@asynccontextmanager
async def at_the_pipe(alone: Alone, mode: str, person: Person) -> AsyncIterator[Client]:
    server = StdioServerParameters(command=CLI, args=alone.arguments("stdio"))
    with alone.log.open("a") as log:
        async with Client(stdio_client(server, errlog=log), mode=mode, elicitation_callback=person) as client:
            yield client


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
@pytest.mark.parametrize("agree", [True, False])
async def test_a_client_that_starts_the_server_is_asked_in_either_era(
    standin: Standin, chromium: Chromium, tmp_path: Any, mode: str, agree: bool
) -> None:
    secrets = {"composer-token": standin.token, "composer-project-key": standin.project_key}
    settings = standin.settings().model_dump(exclude_unset=True)
    alone = Alone(tmp_path, settings, chromium.settings().model_dump(exclude_unset=True), secrets)
    person = Person(agree=agree)
    async with at_the_pipe(alone, mode, person) as client:
        composition = await make(client)
        result = await client.call_tool("update_composition", removal(composition))
        assert result.is_error is not agree, text_of(result)
        assert await widgets(client, composition) == (2 if agree else 3)
    assert len(person.asked) == 1
