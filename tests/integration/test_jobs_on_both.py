"""The tables of jobs promise the same on PostgreSQL and SQLite: to callers, attempts, and who comes back."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from composer_mcp.errors import COMPOSER_UNAVAILABLE, NO_HEADING, ComposerError
from composer_mcp.jobs.embedded_engine import EmbeddedJobEngine
from composer_mcp.jobs.engine import JobEngine, JobState
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.jobs.postgres_table import PostgresJobTable
from composer_mcp.jobs.requests import KINDS, GetComposition
from composer_mcp.jobs.sqlite_table import SqliteJobTable
from composer_mcp.jobs.table import JobTable, Started
from composer_mcp.settings import Settings

from .support.stores import OnPostgres, Stores

pytestmark = pytest.mark.anyio
RESULT = {
    "uid": "sit-0001",
    "url": "u",
    "title": "Fotossíntese",
    "version": "1",
    "document": {"z": 1, "a": 2},
}
ALONE: dict[str, Any] = {"composer": {"project_uid": "p", "connector_uid": "c"}}
ISSUER = {
    "issuer": "https://issuer.test",
    "jwks_url": "https://issuer.test/keys",
    "audience": "https://composer.test/mcp",
}
PLATFORM = ALONE | {
    "public_url": "https://composer.test/mcp",
    "allowed_hosts": ["composer.test"],
    "issuers": [ISSUER],
}


@dataclass(frozen=True, slots=True)
class Both:
    """A queue whose jobs nobody does, and the table through which a worker would."""

    engine: JobEngine
    table: JobTable

    async def submit(self, key: str, uid: str = "sit-0001", tenant: str = "school") -> uuid.UUID:
        return (await self.engine.submit(tenant, key, GetComposition(uid=uid), "correlation")).job_id

    async def start(self, job_id: uuid.UUID, generation: int = 1) -> Started:
        started = await self.table.start(job_id, generation)
        assert started is not None
        return started


Open = Callable[..., contextlib.AbstractAsyncContextManager[Both]]


@pytest.fixture
def open_jobs(stores: Stores, tmp_path: Path) -> Open:
    @contextlib.asynccontextmanager
    async def opened(**sections: Any) -> AsyncIterator[Both]:
        shared = ALONE | {"state_directory": str(tmp_path)}
        if isinstance(stores, OnPostgres):
            shared = PLATFORM | {"database": stores.settings, "object_store": {"url": f"file://{tmp_path}"}}
        settings = Settings(**shared | sections)
        seconds = settings.queue.input_seconds
        async with stores.open() as store:
            if store.file is not None:
                engine = EmbeddedJobEngine(store.file, settings)
                yield Both(engine, SqliteJobTable(store.file, seconds, lambda _job: None))
                return
            assert store.pool is not None and store.options is not None
            async with PostgresJobEngine.open(settings, store.options) as engine_there:
                yield Both(engine_there, PostgresJobTable(store.pool, store.pool, seconds))

    return opened


async def test_a_key_is_one_job_of_its_tenant(open_jobs: Open) -> None:
    async with open_jobs() as jobs:
        first = await jobs.submit("key-0001")
        assert await jobs.submit("key-0001") == first
        assert await jobs.submit("key-0001", tenant="other") != first
        with pytest.raises(ComposerError) as reused:
            await jobs.submit("key-0001", uid="sit-0002")
        assert reused.value.code.code == "idempotency_key_reused"
        assert (await jobs.engine.get("school", first)).state is JobState.QUEUED
        for tenant, job_id in (("other", first), ("school", uuid.uuid4())):
            with pytest.raises(ComposerError) as unknown:
                await jobs.engine.get(tenant, job_id)
            assert unknown.value.code.code == "job_unknown"


async def test_what_was_accepted_is_there_for_the_next_process(open_jobs: Open) -> None:
    async with open_jobs() as jobs:
        job_id = await jobs.submit("key-0001")
        started = await jobs.start(job_id)
        assert await jobs.table.succeed(started, json.dumps(RESULT, ensure_ascii=False))
    async with open_jobs() as jobs:
        record = await jobs.engine.get("school", job_id)
        assert record.state is JobState.SUCCEEDED and record.result == RESULT
        # Written in this order by the composition, and read in it.
        assert list(record.result["document"]) == ["z", "a"]
        assert await jobs.submit("key-0001") == job_id
        assert await jobs.table.start(job_id, 1) is None


async def test_an_attempt_gets_what_was_asked_and_only_the_newest_may_write(open_jobs: Open) -> None:
    async with open_jobs() as jobs:
        job_id = await jobs.submit("key-0001")
        old = await jobs.start(job_id)
        assert (old.tenant, old.idempotency_key, old.kind, old.correlation_id) == (
            "school", "key-0001", "get_composition", "correlation",
        )  # fmt: skip
        assert json.loads(old.arguments)["uid"] == "sit-0001" and old.epoch == old.attempts == 1
        assert old.created_at <= old.first_started_at <= old.started_at < old.deadline
        assert await jobs.table.hold(old) and await jobs.table.progress(old, 0.5, "half")
        new = await jobs.start(job_id)
        assert (new.epoch, new.attempts) == (2, 2) and new.first_started_at == old.first_started_at
        for write in (
            jobs.table.hold(old),
            jobs.table.owned(old),
            jobs.table.progress(old, 0.9, "late"),
            jobs.table.succeed(old, "{}"),
            jobs.table.fail(old, NO_HEADING.error().as_dict()),
            jobs.table.ask_input(old, {"a": {}}),
        ):
            assert not await write
        record = await jobs.engine.get("school", job_id)
        assert (record.state, record.progress, record.progress_message) == (JobState.RUNNING, 0.5, "half")
        assert await jobs.table.succeed(new, json.dumps(RESULT))
        assert not await jobs.table.fail(new, NO_HEADING.error().as_dict())


@pytest.mark.parametrize("begun", [False, True])
async def test_what_is_cancelled_stays_so_until_it_is_asked_for_again(open_jobs: Open, begun: bool) -> None:
    async with open_jobs() as jobs:
        job_id = await jobs.submit("key-0001")
        started = await jobs.start(job_id) if begun else None
        with pytest.raises(ComposerError):
            await jobs.engine.cancel("other", job_id)
        record = await jobs.engine.cancel("school", job_id)
        assert record.state is JobState.CANCELLED and record.finished_at is not None
        if started is not None:
            assert not await jobs.table.succeed(started, json.dumps(RESULT))
        assert await jobs.table.start(job_id, 1) is None
        assert await jobs.engine.cancel("school", job_id) == record
        again = await jobs.submit("key-0001")
        assert again != job_id and (await jobs.start(again)).epoch == int(begun) + 1
        assert await jobs.engine.get("school", job_id) == record


@pytest.mark.parametrize("passing", [True, False])
async def test_a_failure_is_kept_and_done_again_only_if_it_may_pass(open_jobs: Open, passing: bool) -> None:
    error = (COMPOSER_UNAVAILABLE if passing else NO_HEADING).error()
    async with open_jobs() as jobs:
        job_id = await jobs.submit("key-0001")
        # A page may say anything, also what a database does not like.
        stored = error.as_dict() | {"details": {"said": "zero \0 and \ud800 and “ção”, also as \\u0000"}}
        assert await jobs.table.fail(await jobs.start(job_id), stored)
        record = await jobs.engine.get("school", job_id)
        assert record.state is JobState.FAILED and record.error is not None
        assert record.error["code"] == error.code.code
        assert record.error["details"]["said"] == "zero \ufffd and \ufffd and “ção”, also as \\u0000"
        assert (await jobs.submit("key-0001") != job_id) is passing


async def test_a_job_that_asks_waits_and_goes_on_with_the_answers(open_jobs: Open) -> None:
    async with open_jobs() as jobs:
        job_id = await jobs.submit("key-0001")
        first = await jobs.start(job_id)
        assert await jobs.table.ask_input(first, {"b": {"message": "?"}, "a": {"message": "?"}})
        record = await jobs.engine.get("school", job_id)
        assert record.state is JobState.INPUT_REQUIRED and list(record.input_requests or {}) == ["b", "a"]
        half = await jobs.engine.answer("school", job_id, {"b": {"content": 1}, "nobody asked": {}})
        assert half.state is JobState.INPUT_REQUIRED and list(half.input_requests or {}) == ["a"]
        whole = await jobs.engine.answer("school", job_id, {"a": {"content": 2}})
        assert whole.state is JobState.QUEUED and not whole.input_requests
        assert await jobs.table.start(job_id, first.generation) is None
        second = await jobs.start(job_id, first.generation + 1)
        assert second.inputs == {"a": {"content": 2}, "b": {"content": 1}}
        assert (second.attempts, second.epoch) == (1, 2)


async def test_each_tenants_waiting_jobs_are_bounded_and_an_ended_one_makes_room(open_jobs: Open) -> None:
    async with open_jobs(queue={"per_tenant_limit": 2}) as jobs:
        first, _ = [await jobs.submit(f"key-000{number}") for number in range(2)]
        with pytest.raises(ComposerError) as full:
            await jobs.submit("key-0002")
        assert full.value.code.code == "queue_full" and full.value.code.retryable
        # What is there already is no new job, and a refusal leaves no trace.
        assert await jobs.submit("key-0000") == first
        await jobs.engine.cancel("school", first)
        assert (await jobs.engine.get("school", await jobs.submit("key-0002"))).state is JobState.QUEUED


async def test_how_long_jobs_take_is_learned_from_those_that_ended(open_jobs: Open) -> None:
    declared = KINDS["get_composition"].expected_seconds
    async with open_jobs() as jobs:
        for number in range(3):
            started = await jobs.start(await jobs.submit(f"key-000{number}"))
            await jobs.table.succeed(started, json.dumps(RESULT))
    async with open_jobs() as jobs:
        # The first question starts the look, and is answered from what was declared.
        assert jobs.engine.expected_seconds("get_composition") == declared
        with anyio.fail_after(20):
            while jobs.engine.expected_seconds("get_composition") == declared:
                await anyio.lowlevel.checkpoint()
        assert jobs.engine.expected_seconds("get_composition") < declared
        assert (
            jobs.engine.expected_seconds("create_composition") == KINDS["create_composition"].expected_seconds
        )
