"""A process goes on following, whatever goes wrong with one look."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from composer_mcp.errors import STORE_UNAVAILABLE
from composer_mcp.runtime.current import Live, RuntimeSettings
from composer_mcp.runtime.following import Follower
from composer_mcp.runtime.sqlite_store import SqliteRuntimeStore
from composer_mcp.settings import load
from composer_mcp.store.sqlite import Sqlite

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Fragile(SqliteRuntimeStore):
    """Fails as often as it is told to, in the way it is told."""

    failures: list[Exception]

    async def version(self) -> int:
        if self.failures:
            raise self.failures.pop()
        return await super().version()


@pytest.mark.parametrize(
    "failure", [STORE_UNAVAILABLE.error(store="database", state=""), RuntimeError("a mistake of ours")]
)
async def test_a_look_that_fails_is_not_the_last(tmp_path: Path, failure: Exception) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'state_directory = "{tmp_path}"\n[composer]\nproject_uid = "p"\nconnector_uid = "c"\n')
    live = Live(load(config))
    heard: asyncio.Queue[RuntimeSettings] = asyncio.Queue()
    live.on_change(heard.put_nowait)

    def broken(_now: RuntimeSettings) -> None:
        raise RuntimeError("somebody who listens fails")

    live.on_change(broken)
    async with Sqlite.open(tmp_path / "state.db") as file:
        store = Fragile(file)
        store.failures = [failure, failure]
        async with Follower(live).run(store):
            for number in (5, 6):
                await store.change({"queue.total_limit": number}, expected=number - 5, actor="ana")
                async with asyncio.timeout(30):
                    assert (await heard.get()).queue.total_limit == number
    assert live.current().queue.total_limit == 6
