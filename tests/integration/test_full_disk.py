"""A disk without a free byte: whoever asks is told, what was accepted is kept, and all goes on with room."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.settings import ConfigurationError, Credentials, ObjectStoreSettings
from composer_mcp.store import migrate, migrate_sqlite
from composer_mcp.store.artifacts import ArtifactStore
from composer_mcp.store.sqlite import Sqlite
from composer_mcp.store.sqlite_compositions import SqliteCompositions

from .conftest import new_platform
from .support.authority import Authority
from .support.installation import Platform, error_of
from .support.issuer import Issuer
from .support.postgres import Postgres
from .support.small_disk import SmallDisk, disk_for_tables
from .test_jobs_lifecycle import in_thread

pytestmark = pytest.mark.anyio


async def test_a_picture_is_kept_whole_or_not_at_all(small_disk: SmallDisk) -> None:
    folder = small_disk.path / "artifacts"
    store = ArtifactStore.open(ObjectStoreSettings(url=f"file://{folder}"), Credentials(None))
    kept = await store.put(b"early" * 1000, "image/png")
    small_disk.fill()
    picture = b"late" * 100_000
    with pytest.raises(ComposerError) as full:
        await store.put(picture, "image/png")
    assert full.value.code.code == "store_unavailable" and "was not kept" in full.value.sentence
    assert await store.get(kept) == b"early" * 1000
    small_disk.free()
    assert await store.get(await store.put(picture, "image/png")) == picture


async def test_the_file_of_a_server_alone_refuses_and_goes_on(small_disk: SmallDisk) -> None:
    path = small_disk.path / "composer.sqlite3"
    async with Sqlite.open(path) as file:
        register = SqliteCompositions(file)

        async def record(uid: str) -> None:
            values = {"description": "d" * 5000, "author": "", "tags": [], "version": "1"}
            await register.record("school", uid, title=uid, **values)

        await record("early")
        small_disk.fill()
        accepted = ["early"]
        with pytest.raises(ComposerError) as full:
            for number in range(2000):
                await record(f"full-{number}")
                accepted.append(f"full-{number}")
        assert full.value.code.code == "store_unavailable" and "full" in full.value.sentence
        assert await register.owner("early") == "school"
        small_disk.free()
        await record("late")
        accepted.append("late")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        # Each that was accepted, and none that was refused.
        assert {uid for (uid,) in connection.execute("select uid from composition")} == set(accepted)


def test_a_migration_without_room_changes_nothing_and_is_done_later(small_disk: SmallDisk) -> None:
    path = small_disk.path / "composer.sqlite3"
    migrate_sqlite.migrate_to(path, 1)
    small_disk.fill()
    with pytest.raises(sqlite3.OperationalError, match=r"full|disk I/O"):
        migrate_sqlite.migrate_to(path)
    small_disk.free()
    assert [each.version for each in migrate_sqlite.look(path)[0]] == [1]
    assert migrate_sqlite.migrate_to(path).version == migrate.known("sqlite_migrations")[-1].version


async def test_a_server_alone_that_cannot_begin_says_so(small_disk: SmallDisk) -> None:
    small_disk.fill()
    with pytest.raises(ConfigurationError, match=r"cannot be used: .*(full|disk I/O|unable to open)"):
        async with Sqlite.open(small_disk.path / "composer.sqlite3"):
            raise AssertionError("it was opened")


@pytest.fixture
def cramped(tmp_path: Path, issuer: Issuer, authority: Authority) -> Iterator[tuple[Platform, SmallDisk]]:
    """A platform whose tables lie on a disk of their own."""
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(disk_for_tables(90))
        postgres = Postgres(authority, disk.path / "data")
        stack.callback(postgres.remove)
        folder = tmp_path / "platform"
        folder.mkdir()
        platform = stack.enter_context(new_platform(folder, postgres, issuer, authority))
        stack.callback(disk.free)
        yield platform, disk


async def test_calls_are_refused_while_the_database_has_no_room_and_no_accepted_job_is_lost(
    cramped: tuple[Platform, SmallDisk],
) -> None:
    platform, disk = cramped
    await in_thread(platform.start_web)
    await in_thread(platform.start_tame_worker)
    codes: list[str] = []
    async with platform.client() as client:

        async def create(key: str) -> Any:
            lesson = {"title": "sit-1", "elements": [{"type": "text", "text": "x" * 9000}]}
            arguments = {"lesson": lesson, "idempotency_key": key}
            return await client.call_tool("create_composition", arguments)

        assert not (await create("before-the-end-00")).is_error
        await in_thread(disk.fill)
        with anyio.fail_after(90):
            while len(codes) < 5:
                answer = await create(f"while-it-is-full-{len(codes)}-{platform.sql(COUNT)}")
                if answer.is_error:
                    error = error_of(answer)
                    assert error["retryable"], error
                    codes.append(error["code"])
        assert set(codes) <= {"store_unavailable", "job_pending"}, codes
        await in_thread(disk.free)
        # The same call, repeated as its remedy says, is done.
        assert not (await create("after-the-end-000")).is_error
    ready = await in_thread(httpx.get, f"http://127.0.0.1:{platform.port}/health/ready")
    assert ready.status_code == 200, ready.text
    await in_thread(all_ended, platform)
    assert platform.sql(DOUBLED) == "0"


COUNT = "select count(*) from job"
DOUBLED = (
    "select count(*) from (select from job group by tenant, idempotency_key having count(*) > 1) as doubled"
)


def all_ended(platform: Platform) -> None:
    give_up = time.monotonic() + 60
    while platform.sql("select count(*) from job where finished_at is null") != "0":
        assert time.monotonic() < give_up, platform.sql("select state, count(*) from job group by 1")
        time.sleep(0.1)
