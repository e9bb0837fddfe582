"""Answers of Composer that the stand-in does not give: unknown forms, caps, odd statuses."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import anyio
import anyio.lowlevel
import httpx
import pytest
from pydantic import SecretStr

from composer_mcp.composer.api import ComposerApi
from composer_mcp.composer.meaning import WriteFailed
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.composer.writes import create_once, seed_of
from composer_mcp.composition.compose import compose
from composer_mcp.composition.document import Document
from composer_mcp.composition.lesson import Lesson
from composer_mcp.errors import ComposerError
from composer_mcp.observability import logs

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
    return ComposerApi(settings, SecretStr("tok-en"), SecretStr("key"), httpx.MockTransport(unread(answer)))


def unread(answer: Answer) -> Answer:
    """Answers as they come from a network: not read yet, packed if they say so."""

    def give(request: httpx.Request) -> httpx.Response:
        response = answer(request)
        stream = httpx.ByteStream(response.content) if response.is_stream_consumed else response.stream
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)

    return give


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


@pytest.mark.parametrize("status", [400, 413])
async def test_a_refusal_is_not_repeated(status: int) -> None:
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
        assert (await client.create(DOCUMENT, fence)).uid == "u"
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

    raw = DOCUMENT.to_json()
    raw["metadata"]["title"] = "\ud83d"
    document = Document.from_json(raw)
    async with api(answer) as client:
        await client.replace("u", document, fence)
    assert b'"title":"\\ud83d"' in seen[0].content


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://evil.example/?access_token=tok-en", "sent on to evil.example"),
        ("/storage/v2.0/content", "sent on to the same host"),
        ("https://[", "sent on to an address that makes no sense"),
        (None, "sent on to the same host"),
    ],
)
async def test_a_redirect_is_not_followed_and_names_no_more_than_the_host(
    location: str | None, shown: str
) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={} if location is None else {"Location": location})

    async with api(answer) as client:
        for attempt in (client.read("u"), client.create(DOCUMENT, fence)):
            with pytest.raises(ComposerError) as raised:
                await attempt
            assert raised.value.code.code == "composer_changed"
            assert shown in raised.value.sentence
            assert "tok-en" not in str(raised.value.as_dict())
    assert asked == ["api.digitalpages.com.br"] * 2


async def test_what_is_said_of_a_save_cannot_put_it_in_doubt() -> None:
    async with api(always(200, {"uid": "u", "success": True, "document": {"content_uid": 7}})) as client:
        assert (await client.create(DOCUMENT, fence)).uid == "u"


async def test_an_answer_that_quotes_our_token_is_told_without_it() -> None:
    logs.hide("a-token-of-ours-that-is-long-enough")
    answer = always(400, text="bad token: a-token-of-ours-that-is-long-enough")
    async with api(answer) as client:
        with pytest.raises(ComposerError) as raised:
            await client.versions("u")
    assert "bad token" in raised.value.sentence
    assert "long-enough" not in str(raised.value.as_dict())


def endless(piece: bytes, **headers: str) -> Answer:
    """An answer that does not end by itself."""

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield piece
            await anyio.lowlevel.checkpoint()

    return lambda _: httpx.Response(200, headers=headers, content=pieces())


BOMB = gzip.compress(b"0" * 20_000_000)
LIMITED = [
    (endless(b" " * 4096), "an answer of more than 5000 bytes"),
    (
        lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(BOMB)),
        "an answer of more than 5000 bytes",
    ),
    (
        lambda _: httpx.Response(
            200, headers={"Content-Encoding": "br"}, stream=httpx.ByteStream(b"\x0b\x02\x80{}\x03")
        ),
        "an answer that is packed in an unknown way",
    ),
    (
        lambda _: httpx.Response(
            200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip")
        ),
        "an answer that cannot be unpacked",
    ),
    (
        lambda _: httpx.Response(
            200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(gzip.compress(b"{}")[:-6])
        ),
        "an answer that cannot be unpacked",
    ),
]


@pytest.mark.parametrize(("answer", "told"), LIMITED)
async def test_an_answer_without_measure_is_given_up_and_told(answer: Answer, told: str) -> None:
    async with api(answer, answer_limit_bytes=5000) as client:
        with pytest.raises(ComposerError) as raised:
            await client.read("u")
        assert raised.value.code.code == "composer_changed"
        assert told in raised.value.sentence
        with pytest.raises(WriteFailed) as failed:
            await client.create(DOCUMENT, fence)
        assert failed.value.uncertain and failed.value.reason == told


async def test_a_packed_answer_is_read() -> None:
    packed = gzip.compress(json.dumps(DOCUMENT.to_json()).encode())
    headers = {"Content-Encoding": "gzip"}
    async with api(lambda _: httpx.Response(200, headers=headers, stream=httpx.ByteStream(packed))) as client:
        assert (await client.read("u")).to_json() == DOCUMENT.to_json()


async def test_an_answer_that_trickles_is_ended_by_the_limit_of_time() -> None:
    async with api(endless(b""), request_timeout_seconds=0.1, attempts=1) as client:
        with pytest.raises(ComposerError) as raised:
            await client.read("u")
    assert "no answer in time" in raised.value.sentence


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
