"""Prompts, completions and resources, as a client's menus use them."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, PromptReference, ResourceTemplateReference

from composer_mcp.store.compositions import short_id

from .studio import LEGACY, LESSON, MODERN, studio
from .support.installation import Platform, error_of, text_of

__all__ = ["studio"]
pytestmark = pytest.mark.anyio


async def make(client: Client, title: str) -> str:
    made = await client.call_tool("create_composition", {"lesson": LESSON | {"title": title}})
    assert not made.is_error, text_of(made)
    uid: str = made.structured_content["uid"]
    return uid


async def options(client: Client, prompt: str, name: str, typed: str, **given: str) -> list[str]:
    ref = PromptReference(type="ref/prompt", name=prompt)
    found = await client.complete(ref, {"name": name, "value": typed}, context_arguments=given or None)
    return list(found.completion.values)


async def said(client: Client, prompt: str, **arguments: str) -> str:
    messages = (await client.get_prompt(prompt, arguments)).messages
    assert [message.role for message in messages] == ["user"]
    return str(messages[0].content.text)


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_a_teacher_is_led_in_her_language(studio: Platform, mode: str) -> None:
    async with studio.client(mode=mode) as client:
        menu = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
        assert set(menu) == {"plan_lesson", "create_from_content", "review_composition", "make_quiz"}
        assert all(prompt.title and " / " in prompt.title for prompt in menu.values())
        required = [argument.name for argument in menu["plan_lesson"].arguments if argument.required]
        assert required == ["topic"]
        portuguese = await said(client, "plan_lesson", topic="A célula", subject="science", grade="7º ano")
        english = await said(client, "plan_lesson", topic="Cells", subject="Ciências", language="en")
        quiz = await said(client, "make_quiz", topic="A célula", questions="3")
        text = await said(client, "create_from_content", content="A {célula}", language="pt_BR")
    assert "“A célula” de Ciências para o 7º ano, de 50 minutos" in portuguese
    assert "“Cells” in Science, 50 minutes long" in english and "create_composition" in english
    assert "quiz de 3 perguntas" in quiz and "create_composition" in quiz
    assert "A {célula}" in text


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_arguments_complete(studio: Platform, mode: str) -> None:
    title = f"Ciclo da Água {uuid.uuid4()}"
    async with studio.client(mode=mode) as client:
        uid = await make(client, title)
        assert await options(client, "plan_lesson", "subject", "mat") == ["Matemática"]
        assert await options(client, "plan_lesson", "subject", "mat", language="en") == ["Mathematics"]
        assert (await options(client, "plan_lesson", "grade", ""))[0] == "1º ano"
        assert await options(client, "plan_lesson", "grade", "7") == ["7º ano"]
        assert await options(client, "plan_lesson", "language", "p") == ["pt_BR"]
        assert await options(client, "plan_lesson", "topic", "a") == []
        chosen = await options(client, "review_composition", "composition", title.lower().replace("á", "a"))
        assert chosen == [f"{title} [{short_id(uid)}]"]
        assert short_id(uid) in await said(client, "review_composition", composition=chosen[0])
        template = ResourceTemplateReference(type="ref/resource", uri="composer://compositions/{uid}")
        found = await client.complete(template, {"name": "uid", "value": title})
        assert list(found.completion.values) == [uid]
    async with studio.client(studio.issuer.token(tenant="another"), mode=mode) as other:
        assert await options(other, "review_composition", "composition", title) == []
    async with studio.client(studio.issuer.token(scope="jobs:read"), mode=mode) as reader:
        assert await options(reader, "review_composition", "composition", title) == []


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
@pytest.mark.parametrize(
    ("prompt", "arguments", "told"),
    [
        ("plan_leson", {}, "unknown_prompt: There is no prompt plan_leson.*Use one of: plan_lesson"),
        ("plan_lesson", {}, "- topic: is required"),
        (
            "plan_lesson",
            {"topic": "x", "subjet": "y"},
            "- subjet: is no argument here; nearest valid: subject",
        ),
        ("review_composition", {"composition": "a minha"}, "search_compositions"),
    ],
)
async def test_a_wrong_prompt_is_told(
    studio: Platform, mode: str, prompt: str, arguments: dict[str, str], told: str
) -> None:
    async with studio.client(mode=mode) as client:
        with pytest.raises(MCPError, match="(?s)" + told) as refused:
            await client.get_prompt(prompt, arguments)
    assert refused.value.code == INVALID_PARAMS


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_own_compositions_are_listed_page_by_page_and_read_whole(studio: Platform, mode: str) -> None:
    tenant = f"pages-{uuid.uuid4()}"
    token = studio.issuer.token(tenant=tenant)
    async with studio.client(token, mode=mode) as client:
        uid = await make(client, "A última")
        studio.sql(
            "insert into composition"
            " (key, tenant, uid, title, description, author, tags, folded_tags, folded, updated_at)"
            f" select sha256(convert_to(each, 'utf8')), '{tenant}', each, 'Aula ' || n,"
            " '', '', '{}', '{}', '', now() - n * interval '1 minute'"
            f" from generate_series(1, 60) n, lateral (select 'H4sIAAAA-{tenant}-' || n) as made(each)"
        )
        listed: list[Any] = []
        cursor = None
        pages = 0
        while True:
            page = await client.list_resources(cursor=cursor)
            listed += [
                each for each in page.resources if str(each.uri).startswith("composer://compositions/")
            ]
            pages += 1
            cursor = page.next_cursor
            if cursor is None:
                break
        assert pages == 2 and len(listed) == 61
        assert [each.name for each in listed[:3]] == ["A última", "Aula 1", "Aula 2"]
        assert str(listed[0].uri) == f"composer://compositions/{uid}"
        for address in (listed[0].uri, f"composer://compositions/{short_id(uid)}"):
            document = json.loads((await client.read_resource(address)).contents[0].text)
            assert document["metadata"]["title"] == "A última"

        templates = {
            each.uri_template for each in (await client.list_resource_templates()).resource_templates
        }
        assert templates == {
            "composer://compositions/{uid}",
            "composer://previews/{job_id}",
            "composer://templates/{+template_id}",
        }
        known = (await client.call_tool("list_templates", {})).structured_content["templates"]
        identity = known[0]["template_id"]
        template = json.loads(
            (await client.read_resource(f"composer://templates/{identity}")).contents[0].text
        )
        assert template["template_id"] == identity
        types = json.loads((await client.read_resource("composer://widgets")).contents[0].text)
        assert {"pt_BR", "en"} == set(types)


@pytest.mark.parametrize(
    "uri",
    [
        "composer://compositions/H4sIAAAAnobodyhasthis",
        "composer://compositions/çedilha",
        "composer://previews/not-a-job",
        "composer://templates/lesson:none",
        "composer://compositions/H4sIAAAA%00",
        "composer://templates/lesson:%00",
        "composer://templates/lesson:%ED%A0%BD",
        "composer://nothing/here",
        "composer://compositions/..%2F..%2Fetc%2Fpasswd",
    ],
)
async def test_what_cannot_be_read_is_told_as_not_there(studio: Platform, uri: str) -> None:
    async with studio.client() as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(uri)
        assert refused.value.code == INVALID_PARAMS
        with pytest.raises(MCPError) as refused:
            await client.list_resources(cursor="tomorrow")
        assert refused.value.code == INVALID_PARAMS


#: In UTC they are before the year 1 and after 9999.
MOMENTS = ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"]


async def test_what_a_database_refuses_is_no_failure_of_the_server(studio: Platform) -> None:
    async with studio.client() as client:
        for typed in ("a\x00b", "\x00"):
            assert await options(client, "review_composition", "composition", typed) == []
        for moment in MOMENTS:
            with pytest.raises(MCPError) as refused:
                await client.list_resources(cursor=moment)
            assert refused.value.code == INVALID_PARAMS
            found = await client.call_tool("search_compositions", {"before": moment})
            assert error_of(found)["code"] == "invalid_arguments"
            assert error_of(found)["details"]["problems"][0]["path"] == "before"
        for moment in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59", "2026-01-01T00:00:00-03:00"):
            assert not (await client.call_tool("search_compositions", {"before": moment})).is_error


@pytest.mark.parametrize("mode", ["auto", LEGACY])
async def test_no_news_is_promised_that_never_comes(studio: Platform, mode: str) -> None:
    async with studio.client(mode=mode) as client:
        can = client.server_capabilities
        assert not can.tools.list_changed and not can.prompts.list_changed
        assert bool(can.resources.list_changed) is bool(can.resources.subscribe) is (mode == "auto")
