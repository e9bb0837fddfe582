"""Composer at its worst: each failure ends soon, is told in words that help, and leaves nothing half done."""

from __future__ import annotations

import os
import struct
import time
from typing import Any
from uuid import uuid4

import anyio
import pytest

from composer_mcp.composer.breaker import State
from composer_mcp.composition.lesson import Lesson
from composer_mcp.errors import ComposerError
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import (
    AnyRequest,
    CheckConnection,
    ConnectionReport,
    CreateComposition,
    GetComposition,
    ListVersions,
    Preview,
    PreviewComposition,
)
from composer_mcp.jobs.work import Work
from composer_mcp.observability.masking import MASK

from .composer_calls import again, create, save
from .composer_fixtures import Bench, Standin

pytestmark = pytest.mark.anyio


@pytest.fixture
def title() -> str:
    """A title that no other test uses."""
    return f"Aula {uuid4().hex[:8]}"


async def failure(request: AnyRequest, work: Work) -> ComposerError:
    with pytest.raises(ComposerError) as raised:
        await handlers.run(request, work)
    return raised.value


async def report(work: Work, *, browser: bool = False) -> ConnectionReport:
    found = await handlers.run(CheckConnection(browser=browser), work)
    assert isinstance(found, ConnectionReport)
    return found


async def preview(work: Work, uid: str) -> Preview:
    found = await handlers.run(PreviewComposition(uid=uid), again(work))
    assert isinstance(found, Preview)
    return found


# --- the API -------------------------------------------------------------------------------------------

READS: list[tuple[dict[str, Any], str, str]] = [
    ({"action": "error"}, "composer_unavailable", "status 500; tries: 2"),
    ({"action": "error", "status": 503}, "composer_unavailable", "status 503; tries: 2"),
    ({"action": "none", "latency": 3}, "composer_unavailable", "no answer in time; tries: 2"),
    ({"action": "drop"}, "composer_unavailable", "the connection was lost; tries: 2"),
    ({"action": "blank"}, "composer_changed", "not JSON"),
    ({"action": "page"}, "composer_changed", "not JSON"),
    ({"action": "away"}, "composer_changed", "sent on to elsewhere.example"),
    ({"action": "endless"}, "composer_changed", "an answer of more than 1000000 bytes"),
    ({"action": "bomb"}, "composer_changed", "an answer of more than 1000000 bytes"),
    ({"action": "error", "status": 401}, "composer_rejected_token", "access token"),
    ({"action": "error", "status": 418}, "composer_refused", "status 418"),
]
HURRIED: dict[str, Any] = {
    "attempts": 2,
    "request_timeout_seconds": 1,
    "settle_seconds": 0.1,
    "answer_limit_bytes": 1_000_000,
}


@pytest.mark.parametrize(("fault", "code", "told"), READS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("route", ["read", "versions"])
async def test_a_read_that_fails_ends_soon_and_is_told(
    bench: Bench, standin: Standin, title: str, route: str, fault: dict[str, Any], code: str, told: str
) -> None:
    async with standin.api(**HURRIED) as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        standin.provoke(route, **fault)
        request = GetComposition(uid=made.uid) if route == "read" else ListVersions(uid=made.uid)
        began = time.monotonic()
        error = await failure(request, again(work))
    assert (error.code.code, time.monotonic() - began < 5) == (code, True)
    assert told in error.sentence and standin.token not in str(error.as_dict())


@pytest.mark.parametrize("action", ["blank", "page", "away", "endless", "bomb", "drop"])
@pytest.mark.parametrize("after_saving", [False, True])
async def test_a_save_with_a_senseless_answer_ends_in_at_most_one_composition(
    bench: Bench, standin: Standin, title: str, action: str, after_saving: bool
) -> None:
    standin.provoke("create", action=action, times=1, after_saving=after_saving)
    request = CreateComposition(lesson=Lesson.model_validate({"title": title, "elements": [TEXT]}))
    async with standin.api(**HURRIED) as api:
        work = bench.without_browser(api)
        if action == "away":
            # A redirect is not followed and not repeated; the call with the same key finds what there is.
            error = await failure(request, work)
            assert error.code.code == "composer_changed" and "not known whether" in error.sentence
            object.__setattr__(work, "attempt", 2)
        saved = await save(request, work)
    assert [each["uid"] for each in standin.compositions(title)] == [saved.uid]


TEXT = {"type": "text", "text": "Uma frase."}


async def test_while_composer_is_down_it_is_left_alone_and_a_single_call_finds_it_well_again(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api(breaker_failures=3, breaker_pause_seconds=0.5) as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        standin.provoke("*")
        await failure(GetComposition(uid=made.uid), again(work))
        before = standin.requests()
        errors = [await failure(GetComposition(uid=made.uid), again(work)) for _ in range(5)]
        assert standin.requests() == before
        assert {error.code.code for error in errors} == {"composer_unavailable"}
        assert all(error.details["retry_after"] == 1 and error.code.retryable for error in errors)
        standin.calm()
        await anyio.sleep(0.7)
        await handlers.run(GetComposition(uid=made.uid), again(work))
        assert api.breaker.state is State.CLOSED


# --- the connection test -------------------------------------------------------------------------------


async def test_a_good_connection_is_told_step_by_step(bench: Bench, standin: Standin) -> None:
    async with bench.work() as work:
        found = await report(work, browser=True)
    assert found.ok and all(step.ok and step.seconds < 20 for step in found.steps)
    assert [step.name for step in found.steps] == [
        "account",
        "project",
        "compositions",
        "templates",
        "editor",
    ]


async def test_a_step_that_fails_is_a_finding_and_the_others_are_tried(
    bench: Bench, standin: Standin
) -> None:
    standin.provoke("project", status=404)
    standin.provoke("search", action="page")
    async with standin.api() as api:
        found = await report(bench.without_browser(api))
    steps = {step.name: step for step in found.steps}
    assert not found.ok and steps["account"].ok
    assert "no project with the configured uid" in str(steps["project"].problem)
    assert "composer.project_uid" in str(steps["project"].remedy)
    assert not steps["compositions"].ok and not steps["templates"].ok
    assert "not JSON" in str(steps["templates"].problem)


async def test_a_bad_token_is_found(bench: Bench, standin: Standin) -> None:
    async with bench.work(token=standin.token[:-4] + "AAAA", editor_timeout_seconds=2) as work:
        found = await report(work, browser=True)
    problems = {step.name: step.problem for step in found.steps}
    assert not any(step.ok for step in found.steps)
    assert "did not accept this server's own access token" in str(problems["project"])
    assert "did not accept this server's own access token" in str(problems["editor"])


# --- the editor ----------------------------------------------------------------------------------------


async def test_a_page_that_stays_blank_is_not_blamed_on_a_good_token(bench: Bench, standin: Standin) -> None:
    standin.provoke("page", action="blank")
    async with bench.work(editor_timeout_seconds=1.5) as work:
        step = (await report(work, browser=True)).steps[-1]
    assert "the page stays blank, although the API accepts the token" in str(step.problem)


async def test_a_renamed_button_is_told_in_the_operators_words(
    bench: Bench, standin: Standin, title: str
) -> None:
    standin.options(texts={"Nova composição": "Criar composição"})
    async with bench.work(editor_timeout_seconds=1.5) as work:
        made = await create(work, title)
        error = await failure(PreviewComposition(uid=made.uid), again(work))
    assert error.code.code == "composer_changed"
    assert "no “Nova composição”" in error.sentence and "Criar composição" in error.sentence
    assert "Give the operator the job id" in error.remedy


async def test_a_slow_editor_is_waited_for(bench: Bench, standin: Standin, title: str) -> None:
    async with bench.work() as work:
        made = await create(work, title)
        standin.provoke("project", action="none", latency=1.5, times=1)
        standin.provoke("read", action="none", latency=1.5, skip=1, times=1)
        shown = await preview(work, made.uid)
    assert shown.composition_loaded and shown.load_seconds >= 1.5


async def test_an_editor_that_is_too_slow_is_told_with_what_the_page_said(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with bench.work(editor_timeout_seconds=1.5) as work:
        made = await create(work, title)
        standin.provoke("read", skip=1)
        error = await failure(PreviewComposition(uid=made.uid), again(work))
    assert error.code.code == "editor_not_ready" and "page title: Composer" in error.sentence
    assert any("500: https://" in text for text in error.details["network_errors"])
    assert error.details["console_errors"]
    assert standin.token not in str(error.as_dict())


async def test_an_editor_that_fails_again_and_again_is_left_alone(
    bench: Bench, standin: Standin, title: str
) -> None:
    standin.provoke("page", action="blank")
    async with bench.work(editor_timeout_seconds=0.5, breaker_failures=2) as work:
        made = await create(work, title)
        for _ in range(2):
            await failure(PreviewComposition(uid=made.uid), again(work))
        before = standin.calls("page")
        error = await failure(PreviewComposition(uid=made.uid), again(work))
        assert error.code.code == "composer_unavailable" and "its editor failed 2 times" in error.sentence
        assert standin.calls("page") == before
        await handlers.run(GetComposition(uid=made.uid), again(work))


async def test_a_page_that_hangs_is_given_up_and_the_next_preview_has_a_browser_of_its_own(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with bench.work(editor_timeout_seconds=4) as work:
        made = await create(work, title)
        standin.options(texts={"return editor(": "while (true) {} return editor("})
        began = time.monotonic()
        error = await failure(PreviewComposition(uid=made.uid), again(work))
        assert error.code.code == "editor_not_ready" and time.monotonic() - began < 25
        standin.options(texts={})
        assert (await preview(work, made.uid)).composition_loaded


async def test_what_the_page_reports_is_in_the_preview(bench: Bench, standin: Standin, title: str) -> None:
    broken = f"{standin.app_url}/rdpcomposer/media/nothing.png"
    elements = [{"type": "heading", "title": title, "background_image": broken}, TEXT]
    lesson = Lesson.model_validate({"title": title, "elements": elements})
    async with bench.work() as work:
        made = await save(CreateComposition(lesson=lesson), work)
        shown = await preview(work, made.uid)
    assert shown.composition_loaded and shown.editor_ready and shown.picture_complete
    assert f"404: {broken}" in shown.network_errors
    assert any("404" in text for text in shown.console_errors)
    assert 0 < shown.load_seconds < 15 and title in shown.page_title


async def test_another_composition_in_the_editor_is_noticed(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with bench.work(working_copy_seconds=0.5) as work:
        made = await create(work, title)
        # The page's own code forgets to keep the working copy.
        standin.options(texts={'write("rdp-composer-data", composition)': "undefined"})
        shown = await preview(work, made.uid)
    assert shown.editor_ready and not shown.composition_loaded


async def test_the_picture_of_a_long_lesson_is_bounded_in_height(
    bench: Bench, standin: Standin, title: str
) -> None:
    elements = [{"type": "text", "text": "Uma frase.\n\n" * 40}] * 30
    lesson = Lesson.model_validate({"title": title, "elements": elements})
    async with bench.work(browser={"picture_max_height": 3000}) as work:
        made = await save(CreateComposition(lesson=lesson), work)
        shown = await preview(work, made.uid)
        picture = await work.artifacts.get(shown.picture)
    assert (shown.picture_height, shown.picture_complete) == (3000, False)
    assert struct.unpack(">II", picture[16:24]) == (1280, 3000)


async def test_the_picture_of_a_long_lesson_is_bounded_in_bytes(
    bench: Bench, standin: Standin, title: str
) -> None:
    elements = [{"type": "text", "text": " ".join(uuid4().hex for _ in range(200))}] * 12
    lesson = Lesson.model_validate({"title": title, "elements": elements})
    async with bench.work() as work:
        made = await save(CreateComposition(lesson=lesson), work)
        whole = len(await work.artifacts.get((await preview(work, made.uid)).picture))
    limit = max(100_000, whole // 2)
    assert whole > limit, "the lesson is too short to show anything"
    async with bench.work(browser={"picture_max_bytes": limit}) as work:
        shown = await preview(work, made.uid)
        picture = await work.artifacts.get(shown.picture)
    assert len(picture) <= limit and not shown.picture_complete and shown.picture_height >= 800


# --- nothing leaks -------------------------------------------------------------------------------------


async def test_nothing_that_is_said_anywhere_holds_the_token(
    bench: Bench,
    standin: Standin,
    title: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the most talkative level, with every failure, on every way out of the process."""
    monkeypatch.setenv("DEBUG", "pw:*")
    # The page writes its own address and token to the console, and fails with them.
    talking = (
        "{ console.error(location.href, JSON.stringify(localStorage));"
        " setTimeout(() => { throw new Error(token()); });"
    )
    standin.options(texts={"function home() {": f"function home() {talking}"})
    told: list[str] = []
    caplog.set_level("DEBUG")
    async with bench.work(editor_timeout_seconds=4, **HURRIED) as work:
        made = await create(work, title)
        told.append((await preview(work, made.uid)).model_dump_json())
        away = f"https://elsewhere.example/?access_token={standin.token}#{standin.token}"
        for fault in ({"action": "away", "location": away}, {"action": "drop"}, {"action": "page"}):
            for route in ("read", "versions", "user_me"):
                standin.calm()
                standin.provoke(route, **fault)
                with pytest.raises(ComposerError) as raised:
                    if route == "read":
                        await handlers.run(GetComposition(uid=made.uid), again(work))
                    await handlers.run(ListVersions(uid=made.uid), again(work))
                    await work.composer.who_am_i()
                told += chain(raised.value)
        standin.calm()
        standin.provoke("page", action="drop")
        told += chain(await failure(PreviewComposition(uid=made.uid), again(work)))
    out, err = capfd.readouterr()
    printed = out + err + "".join(told)
    assert os.environ["DEBUG"] == "pw:*" and "elsewhere.example" in printed and MASK in printed
    for secret in (standin.token, standin.project_key):
        pieces = [secret[start : start + 24] for start in range(0, len(secret) - 23, 4)]
        assert not [piece for piece in pieces if piece in printed]
        assert not [piece for piece in pieces if piece in caplog.text]


def chain(error: BaseException | None) -> list[str]:
    """Everything that a logged exception would show."""
    told = []
    while error is not None:
        told += [repr(error), str(error.__dict__), *getattr(error, "__notes__", [])]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return told
