"""Answers of Composer that the stand-in does not give: unknown forms, caps, odd statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from composer_mcp.composer.api import ComposerApi, WriteFailed
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.composer.writes import create_once, seed_of
from composer_mcp.composition.document import compose
from composer_mcp.composition.lesson import Lesson
from composer_mcp.errors import ComposerError

pytestmark = pytest.mark.anyio
DOCUMENT = compose(
    Lesson.model_validate({"title": "A", "elements": [{"type": "text", "text": "b"}]}), UUID(int=1)
)
Answer = Callable[[httpx.Request], httpx.Response]


def api(answer: Answer, **changes: Any) -> ComposerApi:
    values: dict[str, Any] = {
        "project_uid": "p",
        "connector_uid": "c",
        "retry_first_delay_seconds": 0,
        "settle_seconds": 0,
    }
    settings = ComposerSettings(**values | changes)
    return ComposerApi(settings, SecretStr("tok-en"), SecretStr("key"), httpx.MockTransport(answer))


async def fence() -> None:
    """The job is still ours."""


def always(status: int, body: Any = None, text: str | None = None) -> Answer:
    return lambda _: httpx.Response(status, text=json.dumps(body) if text is None else text)


@pytest.mark.parametrize(
    "body",
    [
        [{"content_uid": "u"}],
        {"value": [{"content_uid": "u"}], "count": 1},
        {"documents": [{"content_uid": "u"}]},
    ],
)
async def test_a_list_is_understood_bare_or_wrapped(body: Any) -> None:
    async with api(always(200, body)) as client:
        found, complete = await client.search()
    assert [entry.content_uid for entry in found] == ["u"] and complete


@pytest.mark.parametrize("body", [{}, {"a": [], "b": []}, "x", [{"uid": "u"}], [1]])
async def test_a_list_of_unknown_form_is_reported_as_a_change_of_composer(body: Any) -> None:
    async with api(always(200, body)) as client:
        with pytest.raises(ComposerError) as raised:
            await client.search()
    assert raised.value.code.code == "composer_changed"


@pytest.mark.parametrize("text", ["<html>", "[]", '{"version": "1.1"}'])
async def test_a_read_of_unknown_form_is_reported_as_a_change_of_composer(text: str) -> None:
    async with api(always(200, text=text)) as client:
        with pytest.raises(ComposerError) as raised:
            await client.read("u")
    assert raised.value.code.code == "composer_changed"


@pytest.mark.parametrize(
    ("status", "code"), [(400, "composer_refused"), (413, "composer_refused"), (302, "composer_refused")]
)
async def test_a_refusal_is_not_repeated(status: int, code: str) -> None:
    calls = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.method)
        return httpx.Response(status, text="no\x07pe")

    async with api(answer) as client:
        for attempt in (client.create(DOCUMENT, fence), client.versions("u")):
            with pytest.raises(ComposerError) as raised:
                await attempt
            assert raised.value.code.code == "composer_refused"
            assert f"status {status}: nope" in raised.value.sentence
    assert calls == ["POST", "GET"]


@pytest.mark.parametrize(
    ("status", "text", "uncertain"), [(503, "", True), (429, "", False), (200, "ok", True), (200, "{}", True)]
)
async def test_a_failed_write_knows_whether_it_may_have_been_saved(
    status: int, text: str, uncertain: bool
) -> None:
    async with api(always(status, text=text)) as client:
        with pytest.raises(WriteFailed) as raised:
            await client.create(DOCUMENT, fence)
    assert raised.value.uncertain is uncertain


async def test_a_write_has_the_headers_and_the_part_that_composer_wants() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"uid": "u", "success": True, "document": {}})

    async with api(answer) as client:
        assert await client.create(DOCUMENT, fence) == "u"
        await client.replace("u", DOCUMENT, fence)
    create, replace = seen
    assert create.url == "https://api.digitalpages.com.br/storage/v1.0/upload/connector/uid/c"
    assert replace.url == "https://api.digitalpages.com.br/storage/v1.0/content?uid=u&manual_project_uid=p"
    for request in seen:
        assert request.headers["authorization"] == "Bearer tok-en"
        assert request.headers["project-key"] == "key" and request.headers["api-env"] == "prd"
        assert b'name="file"; filename="composition.rdpcomposer"' in request.content
        assert b"Content-Type: digitalpages/composer" in request.content


async def test_half_a_character_of_somebody_elses_text_is_written_back_as_it_was() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"uid": "u", "success": True})

    document = DOCUMENT.model_copy(deep=True)
    document.metadata.title = "\ud83d"
    async with api(answer) as client:
        await client.replace("u", document, fence)
    assert b'"title":"\\ud83d"' in seen[0].content


async def create_after_an_earlier_attempt(client: ComposerApi) -> str:
    return await create_once(
        client, DOCUMENT, UUID(int=1), earlier_attempt=True, since=datetime.now(UTC), fence=fence
    )


def crowded(request: httpx.Request) -> httpx.Response:
    """A project with more compositions than a search returns."""
    if request.url.path.endswith("/search"):
        entry = {"content_uid": "u", "created_at": "2020-01-01T00:00:00Z"}
        return httpx.Response(200, json=[entry] * 1000)
    assert request.method == "GET", "nothing may be written"
    return httpx.Response(404)


async def test_nothing_is_written_when_an_earlier_save_may_hide_behind_the_cap_of_the_search() -> None:
    async with api(crowded) as client:
        with pytest.raises(ComposerError) as raised:
            await create_after_an_earlier_attempt(client)
    assert "more compositions than a search returns" in raised.value.sentence
    assert "not known whether" in raised.value.sentence


async def test_a_larger_search_is_believed_when_composer_honours_it() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/search"):
            count = min(int(request.url.params["top"]), 1500)
            return httpx.Response(200, json=[{"content_uid": "u", "created_at": "2020-01-01"}] * count)
        return httpx.Response(200, json={"uid": "new", "success": True})

    async with api(answer) as client:
        assert await create_after_an_earlier_attempt(client) == "new"


async def test_an_unreadable_composition_of_somebody_else_does_not_stop_us() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/search"):
            return httpx.Response(200, json=[{"content_uid": "broken"}, {"content_uid": "gone"}])
        if request.method == "GET":
            return (
                httpx.Response(404) if request.url.params["uid"] == "gone" else httpx.Response(200, text="?")
            )
        return httpx.Response(200, json={"uid": "new", "success": True})

    async with api(answer) as client:
        assert await create_after_an_earlier_attempt(client) == "new"


def test_seeds_of_different_calls_differ() -> None:
    seeds = {seed_of("a", "b:c"), seed_of("a:b", "c"), seed_of("a", "b"), seed_of("b", "a")}
    assert len(seeds) == 4
