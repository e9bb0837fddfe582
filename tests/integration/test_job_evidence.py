"""A failed job tells what its page showed: operators everything, its caller what can hold no secret."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from composer_mcp.composition.lesson import Lesson
from composer_mcp.errors import ComposerError
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import CompositionSaved, CreateComposition, Preview, PreviewComposition
from composer_mcp.jobs.work import Work
from composer_mcp.store.job_evidence import (
    PICTURE_LIMIT_BYTES,
    JobEvidence,
    PostgresJobEvidence,
    SqliteJobEvidence,
)

from .composer_fixtures import Bench, Chromium, Standin
from .support.stores import Stores

pytestmark = pytest.mark.anyio
LESSON = Lesson.model_validate({"title": "Aula", "elements": [{"type": "text", "text": "Oi"}]})
JOB = UUID("00000000-0000-0000-0000-000000000001")
INSERT = {
    "postgresql": "insert into job (id, tenant, idempotency_key, kind, arguments, arguments_hash, class, "
    "fairness_tag, priority, correlation_id, deadline) values ('{id}', 'school', '{id}', "
    "'preview_composition', '{{}}', 'h', 1, 1, -1, 'c', now())",
    "sqlite": "insert into job (id, tenant, idempotency_key, kind, arguments, arguments_hash, correlation_id,"
    "created_at, updated_at, deadline) values ('{id}', 'school', '{id}', 'preview_composition', '{{}}', 'h', "
    "'c', 1, 1, 1)",
}


@asynccontextmanager
async def evidence_of(stores: Stores, *jobs: UUID) -> AsyncIterator[JobEvidence]:
    for job in jobs:
        stores.run(INSERT[stores.name].format(id=job))
    async with stores.open() as opened:
        evidence: JobEvidence
        if opened.file is not None:
            evidence = SqliteJobEvidence(opened.file)
        else:
            assert opened.pool is not None
            evidence = PostgresJobEvidence(opened.pool)
        yield evidence


async def saved(work: Work) -> str:
    found = await handlers.run(CreateComposition(lesson=LESSON), work)
    assert isinstance(found, CompositionSaved)
    return found.uid


async def test_it_is_kept_once_for_a_job_and_goes_with_it(stores: Stores) -> None:
    async with evidence_of(stores, JOB) as evidence:
        assert await evidence.of(JOB) is None
        await evidence.keep(JOB, 2, {"final_url": "https://here.example/"}, b"\xff\xd8picture")
        await evidence.keep(JOB, 1, {"final_url": "of an attempt that was taken over"}, None)
        kept = await evidence.of(JOB)
        assert kept is not None and kept.epoch == 2 and kept.picture == b"\xff\xd8picture"
        assert kept.seen == {"final_url": "https://here.example/"}
        await evidence.keep(JOB, 3, {"console_errors": ["a\0b \ud800"]}, b"0" * (PICTURE_LIMIT_BYTES + 1))
        kept = await evidence.of(JOB)
        assert kept is not None and kept.epoch == 3 and kept.picture is None
        await evidence.keep(JOB, 4, {"console_errors": ["x" * 1_000_000]}, None)
        kept = await evidence.of(JOB)
        assert kept is not None and len(json.dumps(kept.seen)) < 100
    keys = "pragma foreign_keys = on;" if stores.name == "sqlite" else ""
    stores.run(f"{keys} delete from job where id = '{JOB}'")
    async with evidence_of(stores) as evidence:
        assert await evidence.of(JOB) is None
        # A job that is gone by now is no reason to fail.
        await evidence.keep(JOB, 5, {}, None)
        assert await evidence.of(JOB) is None


async def test_an_editor_that_does_not_come_up_is_shown_as_it_was(
    bench: Bench, standin: Standin, stores: Stores
) -> None:
    async with bench.work(editor_timeout_seconds=3) as work, evidence_of(stores, work.job_id) as evidence:
        work = dataclasses.replace(work, evidence=evidence)
        uid = await saved(work)
        standin.options(texts={"Nova composição": f"Em manutenção {standin.token}"})
        with pytest.raises(ComposerError) as raised:
            await handlers.run(PreviewComposition(uid=uid), work)
        kept = await evidence.of(work.job_id)
    assert raised.value.code.code == "composer_changed"
    assert kept is not None and kept.picture is not None and kept.picture.startswith(b"\xff\xd8")
    assert kept.seen["final_url"].startswith(standin.app_url)
    told = raised.value.details["evidence"]
    assert told == {"console_errors": [], "network_errors": [], "trouble": None}
    assert standin.token not in json.dumps([kept.seen, raised.value.as_dict()])


async def test_what_the_page_complains_of_is_told_without_what_could_be_a_secret(
    bench: Bench, standin: Standin, stores: Stores
) -> None:
    def complaining(word: str) -> dict[str, Any]:
        return {"const root =": f'console.error("cannot open {word} of ana"); const root ='}

    word = "Zm9yIG15IGV5ZXMgb25seSwgbm90IGZvciB5b3Vycw"
    async with bench.work(editor_timeout_seconds=3) as work, evidence_of(stores, work.job_id) as evidence:
        work = dataclasses.replace(work, evidence=evidence)
        uid = await saved(work)
        standin.options(texts=complaining(word) | {"Nova composição": "Fechado"})
        with pytest.raises(ComposerError) as raised:
            await handlers.run(PreviewComposition(uid=uid), work)
        kept = await evidence.of(work.job_id)
    assert kept is not None and kept.seen["console_errors"] == [f"cannot open {word} of ana"]
    assert raised.value.details["evidence"]["console_errors"] == ["cannot open … of ana"]
    assert word not in json.dumps(raised.value.as_dict())


@pytest.mark.parametrize("times", [1, 2])
async def test_a_renderer_killed_in_a_preview_costs_a_second_try_and_then_the_job(
    bench: Bench, chromium: Chromium, stores: Stores, times: int
) -> None:
    killed: list[set[int]] = []

    async def killing(fraction: float, message: str) -> None:
        await bench.story(fraction, message)
        if message.startswith("Opening") and len(killed) < times:
            renderers = chromium.renderers()
            killed.append(renderers)
            for renderer in renderers:
                os.kill(renderer, signal.SIGKILL)

    async with bench.work() as work, evidence_of(stores, work.job_id) as evidence:
        work = dataclasses.replace(work, evidence=evidence)
        uid = await saved(work)
        work = dataclasses.replace(work, progress=killing)
        if times == 1:
            preview = await handlers.run(PreviewComposition(uid=uid), work)
            assert isinstance(preview, Preview) and preview.composition_loaded
            assert await evidence.of(work.job_id) is None
            return
        with pytest.raises(ComposerError) as raised:
            await handlers.run(PreviewComposition(uid=uid), work)
        assert raised.value.code.code == "browser_unavailable" and "its page crashed" in raised.value.sentence
        kept = await evidence.of(work.job_id)
        assert kept is not None and kept.seen["trouble"] == "its page crashed" and kept.picture is None
        preview = await handlers.run(PreviewComposition(uid=uid), work)
        assert isinstance(preview, Preview) and preview.composition_loaded


async def test_a_page_that_hangs_fails_its_job_in_time_and_the_next_one_works(
    bench: Bench, standin: Standin
) -> None:
    forever = {"const root =": "setTimeout(() => { for (;;); }, 50); const root ="}
    async with bench.work(editor_timeout_seconds=3, browser={"concurrency": 1}) as work:
        uid = await saved(work)
        standin.options(texts=forever)
        with pytest.raises(ComposerError) as raised:
            await handlers.run(PreviewComposition(uid=uid), work)
        assert raised.value.code.code == "editor_not_ready"
        assert "does not respond" in raised.value.sentence
        standin.options(texts={})
        preview = await handlers.run(PreviewComposition(uid=uid), work)
        assert isinstance(preview, Preview) and preview.composition_loaded
