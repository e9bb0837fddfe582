"""Saved once, whatever happens: Composer knows no idempotency key, and fails at the worst moments."""

from __future__ import annotations

import logging
from typing import Any
from uuid import uuid4

import anyio
import pytest

from composer_mcp.composition.document import Document
from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.errors import ComposerError
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import (
    CompositionRead,
    CompositionSaved,
    CreateComposition,
    GetComposition,
    ListVersions,
    UpdateComposition,
    Versions,
)
from composer_mcp.jobs.work import Work

from .composer_fixtures import Bench, Standin, next_attempt

pytestmark = pytest.mark.anyio


def lesson(title: str) -> Lesson:
    return Lesson.model_validate({"title": title, "elements": [{"type": "text", "text": "Uma frase."}]})


@pytest.fixture
def title() -> str:
    """A title that no other test uses."""
    return f"Aula {uuid4().hex[:8]}"


async def create(work: Work, title: str) -> CompositionSaved:
    saved = await handlers.run(CreateComposition(lesson=lesson(title)), work)
    assert isinstance(saved, CompositionSaved)
    return saved


async def read(work: Work, uid: str) -> CompositionRead:
    found = await handlers.run(GetComposition(uid=uid), work)
    assert isinstance(found, CompositionRead)
    return found


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "error", "times": 2},
        {"action": "drop", "times": 1},
        {"action": "error", "times": 1, "after_saving": True},
        {"action": "drop", "times": 1, "after_saving": True},
        {"action": "none", "times": 1, "latency": 0.8, "after_saving": True},
    ],
    ids=["500 twice", "connection lost", "500 after saving", "lost after saving", "answer too late"],
)
async def test_a_failing_write_ends_in_one_composition(
    bench: Bench, standin: Standin, title: str, fault: dict[str, Any]
) -> None:
    standin.provoke("create", **fault)
    async with standin.api(request_timeout_seconds=0.5) as api:
        saved = await create(bench.without_browser(api), title)
    assert [each["uid"] for each in standin.compositions(title)] == [saved.uid]


async def test_a_save_that_appears_late_is_still_found(bench: Bench, standin: Standin, title: str) -> None:
    standin.options(search_lag=0.5)
    standin.provoke("create", action="drop", times=1, after_saving=True)
    async with standin.api(settle_seconds=3) as api:
        saved = await create(bench.without_browser(api), title)
    assert [each["uid"] for each in standin.compositions(title)] == [saved.uid]
    assert standin.calls("create") == 1


async def test_the_next_worker_finds_what_the_first_had_saved(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api() as api:
        first = bench.without_browser(api)
        saved = await create(first, title)
        again = await create(next_attempt(first), title)
    assert again == saved
    assert len(standin.compositions(title)) == 1


async def test_another_key_makes_another_composition(bench: Bench, standin: Standin, title: str) -> None:
    async with standin.api() as api:
        one = await create(bench.without_browser(api), title)
        other = await create(bench.without_browser(api), title)
    assert one.uid != other.uid


async def test_a_worker_that_lost_its_job_writes_nothing(bench: Bench, standin: Standin, title: str) -> None:
    bench.fence.error = RuntimeError("the job belongs to another worker")
    async with standin.api() as api:
        with pytest.raises(RuntimeError):
            await create(bench.without_browser(api), title)
    assert standin.compositions(title) == []


async def test_composer_answering_500_for_good_says_that_nothing_was_saved(
    bench: Bench, standin: Standin, title: str
) -> None:
    standin.provoke("create")
    async with standin.api() as api:
        work = bench.without_browser(api)
        with pytest.raises(ComposerError) as raised:
            await create(work, title)
        assert raised.value.code.code == "composer_unavailable"
        assert "status 500; tries: 4" in raised.value.sentence
        assert raised.value.sentence.endswith("Nothing was saved.")
        standin.calm()
        saved = await create(next_attempt(work), title)
    assert [each["uid"] for each in standin.compositions(title)] == [saved.uid]


async def test_nothing_is_written_again_while_the_outcome_is_unknown(
    bench: Bench, standin: Standin, title: str
) -> None:
    standin.provoke("create", action="drop", after_saving=True)
    standin.provoke("search")
    async with standin.api() as api:
        work = bench.without_browser(api)
        with pytest.raises(ComposerError) as raised:
            await create(work, title)
        assert raised.value.sentence.endswith("It is not known whether the composition was saved.")
        assert standin.calls("create") == 1
        standin.calm()
        await create(next_attempt(work), title)
    assert len(standin.compositions(title)) == 1


async def test_composer_that_is_down_says_so(bench: Bench, standin: Standin, title: str) -> None:
    async with standin.api(api_url="https://127.0.0.1:1") as api:
        with pytest.raises(ComposerError) as raised:
            await create(bench.without_browser(api), title)
    assert "no connection; tries: 4" in raised.value.sentence
    assert raised.value.sentence.endswith("Nothing was saved.")


async def test_a_certificate_of_an_unknown_authority_is_refused(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api(authority=None, attempts=1) as api:
        with pytest.raises(ComposerError) as raised:
            await create(bench.without_browser(api), title)
    assert "its certificate is not trusted" in raised.value.sentence


async def test_a_bad_token_is_the_operators_problem(bench: Bench, standin: Standin, title: str) -> None:
    async with standin.api(standin.token[:-4] + "AAAA") as api:
        work = bench.without_browser(api)
        for attempt in (create(work, title), read(work, "H4sIAAAA"), api.who_am_i(), api.search()):
            with pytest.raises(ComposerError) as raised:
                await attempt
            assert raised.value.code.code in {"composer_rejected_token", "composer_unavailable"}
    assert standin.compositions(title) == []


async def test_the_token_is_in_no_log_line_and_no_error(
    bench: Bench, standin: Standin, title: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    standin.provoke("read", action="drop")
    async with standin.api() as api:
        with pytest.raises(ComposerError) as raised:
            await read(bench.without_browser(api), "H4sIAAAA")
    chain = [repr(raised.value), repr(raised.value.__cause__), str(raised.value.as_dict())]
    for secret in (standin.token, standin.project_key):
        assert secret not in caplog.text
        assert all(secret not in text for text in chain)


async def test_an_unknown_composition_is_said_to_be_unknown(bench: Bench, standin: Standin) -> None:
    async with standin.api() as api:
        with pytest.raises(ComposerError) as raised:
            await read(bench.without_browser(api), "H4sIAAAAnothing")
    assert raised.value.code.code == "composition_not_found"


async def change(work: Work, uid: str, version: str | None = None, **what: Any) -> CompositionSaved:
    request = UpdateComposition(
        uid=uid, change=CompositionChange.model_validate(what), expected_version=version
    )
    saved = await handlers.run(request, work)
    assert isinstance(saved, CompositionSaved)
    return saved


ADDED = [{"action": "add", "element": {"type": "text", "text": "Mais uma frase."}}]


async def test_a_change_keeps_everything_else(bench: Bench, standin: Standin, title: str) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        before = await read(work, made.uid)
        assert before.version == made.version
        updated = await change(work, made.uid, before.version, title=f"{title}!", author="Ana", widgets=ADDED)
        after = await read(work, made.uid)
        versions = await handlers.run(ListVersions(uid=made.uid), work)
    assert after.version == updated.version != before.version
    assert after.title == f"{title}!"
    old, new = Document.from_json(before.document), Document.from_json(after.document)
    assert new.widget_ids[: len(old.widget_ids)] == old.widget_ids
    assert len(new.structure) == updated.widgets == 3
    assert isinstance(versions, Versions)
    assert len(versions.versions) == 2
    assert versions.versions[0].created_at >= versions.versions[1].created_at


async def test_a_change_on_an_old_version_is_refused(bench: Bench, standin: Standin, title: str) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        await change(work, made.uid, description="de outra pessoa")
        with pytest.raises(ComposerError) as raised:
            await change(work, made.uid, made.version, description="minha")
        assert raised.value.code.code == "version_conflict"
        assert (await read(work, made.uid)).document["metadata"]["description"] == "de outra pessoa"


@pytest.mark.parametrize("after_saving", [False, True])
@pytest.mark.parametrize("action", ["error", "drop"])
async def test_a_change_is_made_once_when_the_write_fails(
    bench: Bench, standin: Standin, title: str, action: str, after_saving: bool
) -> None:
    standin.provoke("update", action=action, times=1, after_saving=after_saving)
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        await change(work, made.uid, made.version, widgets=ADDED)
        document = Document.from_json((await read(work, made.uid)).document)
    assert len(document.structure) == 3
    assert standin.compositions(title)[0]["versions"] == 2


async def test_the_next_worker_does_not_make_a_change_again(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        first = await change(work, made.uid, made.version, widgets=ADDED, title=title)
        again = await change(next_attempt(work), made.uid, made.version, widgets=ADDED, title=title)
    assert again == first
    assert standin.compositions(title)[0]["versions"] == 2


async def test_many_at_once_are_each_saved_once(bench: Bench, standin: Standin, title: str) -> None:
    standin.provoke("create", action="drop", rate=0.3, after_saving=True)
    standin.provoke("create", rate=0.2)
    async with standin.api(attempts=10) as api, anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(create, bench.without_browser(api), title)
    assert len(standin.compositions(title)) == 20
