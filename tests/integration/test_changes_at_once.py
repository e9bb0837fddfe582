"""Two changes of one composition at the same moment: one after the other, whatever process they come from."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple
from uuid import UUID, uuid4

import anyio
import pytest

from composer_mcp.composition.lesson import CompositionChange
from composer_mcp.errors import ComposerError
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import UpdateComposition
from composer_mcp.store import compositions, postgres_compositions, sqlite_compositions
from composer_mcp.store.compositions import CompositionRegistry
from composer_mcp.store.postgres_compositions import PostgresCompositions

from .composer_calls import again, create
from .composer_fixtures import Bench, Standin
from .support.installation import Platform
from .test_jobs_in_trouble import pool_of

pytestmark = pytest.mark.anyio

UID = "H4sIAAAA" + "x" * 497
RUNNING = """
insert into job (id, tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority,
                 correlation_id, deadline, state, owner)
values ('{id}', 'school', '{id}', 'update_composition', '{{}}', '', 1, 0, 0, '', now(), 'running', '{owner}')
"""


class Attempt(NamedTuple):
    """One attempt at a job."""

    job_id: UUID
    owner: UUID


class Jobs:
    """Jobs at work on one store; registers as different processes have them."""

    def __init__(self, registries: list[CompositionRegistry], platform: Platform | None) -> None:
        self.registries = registries
        self._platform = platform

    def start(self) -> Attempt:
        attempt = Attempt(uuid4(), uuid4())
        if self._platform is not None:
            self._platform.sql(RUNNING.format(id=attempt.job_id, owner=attempt.owner))
        return attempt

    def take_over(self, attempt: Attempt) -> Attempt:
        heir = Attempt(attempt.job_id, uuid4())
        if self._platform is not None:
            self._platform.sql(f"update job set owner = '{heir.owner}' where id = '{heir.job_id}'")
        return heir

    def fail(self, job_id: UUID) -> None:
        if self._platform is not None:
            self._platform.sql(f"update job set state = 'failed' where id = '{job_id}'")


@pytest.fixture
async def postgresql_jobs(standing: Platform) -> AsyncIterator[Jobs]:
    standing.sql("truncate job, composition_change cascade")
    async with pool_of(standing) as one, pool_of(standing) as other:
        yield Jobs([PostgresCompositions(one), PostgresCompositions(other)], standing)


@pytest.fixture
def sqlite_jobs(bench: Bench) -> Jobs:
    return Jobs([bench.compositions, bench.compositions], None)


@pytest.fixture(params=["postgresql", "sqlite"])
def jobs(request: pytest.FixtureRequest) -> Jobs:
    found: Jobs = request.getfixturevalue(f"{request.param}_jobs")
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compositions.BUSY_SECONDS == 30
    for module in (postgres_compositions, sqlite_compositions):
        monkeypatch.setattr(module, "BUSY_SECONDS", 0.5)


async def test_one_comes_after_the_other(jobs: Jobs) -> None:
    inside = most = entered = 0

    async def change(registry: CompositionRegistry) -> None:
        nonlocal inside, most, entered
        async with registry.exclusively(UID, *jobs.start()):
            inside += 1
            most, entered = max(most, inside), entered + 1
            await anyio.sleep(0.02)
            inside -= 1

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(change, jobs.registries[number % 2])
    assert (most, entered) == (1, 8)


async def test_different_compositions_do_not_wait_for_each_other(jobs: Jobs) -> None:
    one, other = jobs.registries
    with anyio.fail_after(5):
        async with one.exclusively(UID, *jobs.start()), other.exclusively(UID + "y", *jobs.start()):
            pass


async def test_who_waits_too_long_is_told_that_nothing_was_changed(jobs: Jobs, impatient: None) -> None:
    one, other = jobs.registries
    async with one.exclusively(UID, *jobs.start()):
        with pytest.raises(ComposerError) as raised:
            async with other.exclusively(UID, *jobs.start()):
                pytest.fail("two at once")
    assert raised.value.code.code == "composition_busy" and raised.value.code.retryable
    assert "Nothing was changed" in raised.value.sentence
    with anyio.fail_after(5):
        async with other.exclusively(UID, *jobs.start()):
            pass


async def test_a_cancelled_change_lets_go(jobs: Jobs) -> None:
    one, other = jobs.registries
    with anyio.move_on_after(0.2):
        async with one.exclusively(UID, *jobs.start()):
            await anyio.sleep_forever()
    with anyio.fail_after(5):
        async with other.exclusively(UID, *jobs.start()):
            pass


@pytest.mark.parametrize("jobs", ["postgresql"], indirect=True)
async def test_a_job_that_is_taken_over_gets_in_although_its_first_worker_is_frozen(jobs: Jobs) -> None:
    one, other = jobs.registries
    first = jobs.start()
    async with contextlib.AsyncExitStack() as frozen:
        await frozen.enter_async_context(one.exclusively(UID, *first))
        with anyio.fail_after(5):
            async with other.exclusively(UID, *jobs.take_over(first)):
                pass


@pytest.mark.parametrize("jobs", ["postgresql"], indirect=True)
async def test_a_worker_that_wakes_up_lets_nobody_in_while_its_heir_is_at_work(
    jobs: Jobs, impatient: None
) -> None:
    one, other = jobs.registries
    first = jobs.start()
    async with contextlib.AsyncExitStack() as frozen, contextlib.AsyncExitStack() as heir:
        await frozen.enter_async_context(one.exclusively(UID, *first))
        await heir.enter_async_context(other.exclusively(UID, *jobs.take_over(first)))
        await frozen.aclose()
        for late in (jobs.start(), first):
            with pytest.raises(ComposerError) as raised:
                async with one.exclusively(UID, *late):
                    pytest.fail("two at once")
            assert raised.value.code.code == "composition_busy"
        await heir.aclose()
        with anyio.fail_after(5):
            async with one.exclusively(UID, *jobs.start()):
                pass


@pytest.mark.parametrize("jobs", ["postgresql"], indirect=True)
async def test_a_job_that_has_ended_holds_nothing(jobs: Jobs) -> None:
    one, other = jobs.registries
    first = jobs.start()
    async with one.exclusively(UID, *first):
        jobs.fail(first.job_id)
        with anyio.fail_after(5):
            async with other.exclusively(UID, *jobs.start()):
                pass


async def test_of_two_changes_of_the_same_version_one_is_refused(bench: Bench, standin: Standin) -> None:
    title = f"Aula {uuid4().hex[:8]}"
    outcomes: list[str] = []
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)

        async def change(text: str) -> None:
            change = CompositionChange(description=text)
            request = UpdateComposition(uid=made.uid, change=change, expected_version=made.version)
            try:
                await handlers.run(request, again(work))
                outcomes.append(text)
            except ComposerError as error:
                outcomes.append(error.code.code)

        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(change, f"text {number}")
        (saved,) = [outcome for outcome in outcomes if outcome.startswith("text")]
        assert (await api.read(made.uid)).description == saved
    assert outcomes.count("version_conflict") == 5 and standin.compositions(title)[0]["versions"] == 2


async def test_changes_of_different_parts_at_once_are_all_kept(bench: Bench, standin: Standin) -> None:
    title = f"Aula {uuid4().hex[:8]}"
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        element = {"type": "text", "text": "Mais uma."}
        addition = CompositionChange.model_validate({"widgets": [{"action": "add", "element": element}]})
        async with anyio.create_task_group() as group:
            for _ in range(6):
                request = UpdateComposition(uid=made.uid, change=addition)
                group.start_soon(handlers.run, request, again(work))
        assert len((await api.read(made.uid)).structure) == made.widgets + 6
