"""Changed settings are kept the same way on PostgreSQL and on SQLite."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.runtime.current import Live
from composer_mcp.runtime.following import Follower
from composer_mcp.runtime.postgres_store import PostgresRuntimeStore
from composer_mcp.runtime.sqlite_store import SqliteRuntimeStore
from composer_mcp.runtime.store import RuntimeStore
from composer_mcp.settings import Settings
from composer_mcp.store import database
from composer_mcp.store.sqlite import Sqlite

from .support.installation import Platform

pytestmark = pytest.mark.anyio
Open = Callable[[], contextlib.AbstractAsyncContextManager[RuntimeStore]]


@pytest.fixture(params=["postgres", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens one more connection to the same table, as another process would."""
    if request.param == "sqlite":

        @contextlib.asynccontextmanager
        async def sqlite() -> AsyncIterator[RuntimeStore]:
            async with Sqlite.open(tmp_path / "state.db") as file:
                yield SqliteRuntimeStore(file)

        return sqlite
    platform: Platform = request.getfixturevalue("platform")

    @contextlib.asynccontextmanager
    async def postgres() -> AsyncIterator[RuntimeStore]:
        options = database.connection_options(
            platform.settings.postgresql, platform.secrets.read("database-password"), application="test"
        )
        async with database.pool(options, size=4) as pool:
            yield PostgresRuntimeStore(pool)

    return postgres


async def test_before_the_first_change_nothing_is_overridden(open_store: Open) -> None:
    async with open_store() as store:
        stored = await store.read()
    assert (stored.version, stored.values) == (0, {})


async def test_changes_are_kept_with_who_and_when(open_store: Open) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    async with open_store() as store:
        changed = await store.change({"log.level": "debug", "queue.total_limit": 7}, expected=0, actor="ana")
        assert changed.version == 1
    async with open_store() as store:
        stored = await store.read()
        assert stored == changed and await store.version() == 1
        assert stored.values == {"log.level": "debug", "queue.total_limit": 7}
        override = stored.overrides["log.level"]
        assert (override.version, override.changed_by) == (1, "ana")
        assert began < override.changed_at < datetime.now(UTC) + timedelta(seconds=1)


async def test_what_is_taken_back_is_remembered(open_store: Open) -> None:
    async with open_store() as store:
        await store.change({"log.level": "debug"}, expected=0, actor="ana")
        stored = await store.change({"log.level": None}, expected=1, actor="eva")
    assert stored.values == {} and stored.version == 2
    assert stored.overrides["log.level"].changed_by == "eva"


async def test_of_two_changes_for_one_version_one_is_made(open_store: Open) -> None:
    async with open_store() as first, open_store() as second:
        outcomes = await asyncio.gather(
            *(
                store.change({"queue.total_limit": number}, expected=0, actor=f"person {number}")
                for number, store in enumerate([first, second] * 4, 1)
            ),
            return_exceptions=True,
        )
        refused = [each for each in outcomes if isinstance(each, ComposerError)]
        made = [each for each in outcomes if not isinstance(each, BaseException)]
        assert len(made) == 1 and {each.code.code for each in refused} == {"settings_changed"}
        assert await second.read() == made[0]


async def test_a_process_follows_what_another_one_changes(open_store: Open, tmp_path: Path) -> None:
    path = tmp_path / "alone"
    settings = Settings(
        state_directory=path, composer={"project_uid": "p", "connector_uid": "c"}
    )  # Only the sections that may change matter here.
    live = Live(settings)
    changed = asyncio.Event()
    async with open_store() as mine, open_store() as theirs:
        await theirs.change({"queue.total_limit": 5}, expected=0, actor="ana")
        async with Follower(live).run(mine):
            assert live.current().queue.total_limit == 5, "what was stored applies from the start"
            live.on_change(lambda _: changed.set())
            await theirs.change({"queue.total_limit": 6}, expected=1, actor="ana")
            async with asyncio.timeout(10):
                await changed.wait()
            assert live.current().queue.total_limit == 6
