"""The schema changes below processes that are at work: those of the release before, and other migrations."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import asyncpg
import httpx
import pytest

from composer_mcp.store import migrate, migrate_postgres

from .support.installation import Platform, text_of
from .support.previous import VERSION, PreviousRelease
from .support.processes import Process
from .test_jobs_in_trouble import pool_of
from .test_jobs_lifecycle import in_thread

pytestmark = pytest.mark.anyio

NEWEST = migrate.known()[-1].version
WAITING = (
    "select count(*) from pg_stat_activity "
    "where application_name = 'composer-mcp migrate' and wait_event_type = 'Lock'"
)


@pytest.fixture
def previous(platform: Platform, tmp_path: Path) -> PreviousRelease:
    """A platform as the release before had left it."""
    platform.postgres.drop_database(platform.database)
    platform.postgres.create_database(platform.database)
    release = PreviousRelease(tmp_path / "previous", platform)
    assert json.loads(release.migrate())["version"] == VERSION
    return release


class Load:
    """Calls one after another, each of which must be answered."""

    def __init__(self) -> None:
        self.answered = 0
        self.slowest = 0.0
        self._awaited = (0, anyio.Event())

    @asynccontextmanager
    async def on(self, platform: Platform) -> AsyncIterator[Load]:
        async with anyio.create_task_group() as group:
            group.start_soon(self._call, platform)
            await self.more(3)
            yield self
            group.cancel_scope.cancel()

    async def _call(self, platform: Platform) -> None:
        async with platform.client() as client:
            while True:
                began = time.monotonic()
                result = await client.call_tool("get_composition", {"uid": f"sit-000{self.answered % 3}"})
                assert not result.is_error, text_of(result)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.answered += 1
                target, reached = self._awaited
                if self.answered >= target:
                    reached.set()

    async def more(self, calls: int) -> None:
        """Wait until so many more were answered."""
        self._awaited = (self.answered + calls, anyio.Event())
        with anyio.fail_after(60):
            await self._awaited[1].wait()


async def test_the_release_before_answers_every_call_while_the_schema_goes_forward_and_back(
    previous: PreviousRelease, platform: Platform
) -> None:
    await in_thread(previous.start_web)
    old_worker = await in_thread(previous.start_worker)
    async with Load().on(platform) as load:
        forward = json.loads(await in_thread(platform.run, "migrate", "--json"))
        assert forward["version"] == NEWEST
        assert len(forward["steps"]) == len([m for m in migrate.known() if m.version > VERSION]) > 0
        await load.more(10)
        # The release before is ready with the newer schema, so that one host after another can be changed.
        ready = (await in_thread(httpx.get, f"http://127.0.0.1:{platform.port}/health/ready")).json()
        assert ready["ready"], ready
        new_worker = await in_thread(platform.start_tame_worker)
        await load.more(10)
        await in_thread(old_worker.stop)
        await load.more(10)
        await in_thread(previous.start_worker)
        await in_thread(new_worker.stop)
        words = ("migrate", "--to", str(VERSION), "--back", "--lose-data", "--json")
        back = json.loads(await in_thread(platform.run, *words))
        assert back["version"] == VERSION
        await load.more(10)
    assert json.loads(await in_thread(previous.migrate)) == {
        "changed": False,
        "version": VERSION,
        "steps": [],
    }


async def test_a_step_that_waits_for_a_table_does_not_keep_others_waiting(
    previous: PreviousRelease, platform: Platform
) -> None:
    """Somebody reads the table for long: the step lets go of its place in the line again and again."""
    await in_thread(previous.start_web)
    await in_thread(previous.start_worker)
    async with Load().on(platform) as load, pool_of(platform) as pool, anyio.create_task_group() as group:
        async with reading(pool):
            group.start_soon(in_thread, platform.run, "migrate")
            await in_thread(wait_until_it_waits, platform)
            load.slowest = 0.0
            # As long as it waits without a pause, nobody else gets to the table.
            await load.more(10)
        await load.more(3)
    assert load.slowest < migrate_postgres.TABLE_SECONDS + 3
    assert platform.sql("select max(version) from schema_version") == str(NEWEST)


@asynccontextmanager
async def reading(pool: asyncpg.Pool) -> AsyncIterator[None]:
    """Use the table of jobs, without changing anything, until the context is left."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table job in access share mode")
        yield


def wait_until_it_waits(platform: Platform) -> None:
    """Wait until a migration waits for a table."""
    give_up = time.monotonic() + 60
    while platform.sql(WAITING) == "0":
        assert time.monotonic() < give_up, "no migration waits"
        time.sleep(0.05)


def test_several_at_once_do_it_once(previous: PreviousRelease, platform: Platform) -> None:
    outcomes: list[dict[str, object]] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(json.loads(platform.run("migrate", "--json"))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [outcome["version"] for outcome in outcomes] == [NEWEST] * 3
    assert [bool(outcome["steps"]) for outcome in outcomes].count(True) == 1


async def test_killed_in_the_middle_it_is_done_by_the_next(
    previous: PreviousRelease, platform: Platform
) -> None:
    async with pool_of(platform) as pool:
        async with reading(pool):
            victim = Process(platform.command("migrate"))
            await in_thread(wait_until_it_waits, platform)
            victim.signal(signal.SIGKILL)
            await in_thread(victim.wait)
        assert int(platform.sql("select max(version) from schema_version")) < NEWEST
        again = json.loads(await in_thread(platform.run, "migrate", "--json"))
    assert again["version"] == NEWEST and again["changed"]
    assert (await in_thread(platform.run, "migrate", "--status")).endswith("nothing to do\n")
