"""The register of compositions keeps the same promises on every store."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest

from composer_mcp.store.compositions import CompositionRegistry, short_id
from composer_mcp.store.listener import Listener
from composer_mcp.store.postgres_compositions import PostgresCompositions
from composer_mcp.store.sqlite import Sqlite
from composer_mcp.store.sqlite_compositions import SqliteCompositions

from .support.installation import Platform
from .test_jobs_in_trouble import pool_of

pytestmark = pytest.mark.anyio

#: Opens a register; those opened in one test share what is kept.
Open = Callable[[], contextlib.AbstractAsyncContextManager[CompositionRegistry]]
LONG = "x" * 500


@contextlib.asynccontextmanager
async def postgres_registry(platform: Platform) -> AsyncIterator[CompositionRegistry]:
    from composer_mcp.store import database

    password = platform.secrets.read("database-password")
    options = database.connection_options(platform.settings.postgresql, password, application="test")
    async with pool_of(platform) as pool:
        registry = PostgresCompositions(pool)
        async with Listener(options, [registry.ear]).run():
            yield registry


@pytest.fixture
async def sqlite_registry(tmp_path: Path) -> AsyncIterator[CompositionRegistry]:
    async with Sqlite.open(tmp_path / "composer.sqlite3") as database:
        yield SqliteCompositions(database)


@pytest.fixture(params=["postgresql", "sqlite"])
def open_registry(request: pytest.FixtureRequest) -> Open:
    if request.param == "sqlite":
        # One process, one register: whoever opens it has the same.
        registry = request.getfixturevalue("sqlite_registry")
        return lambda: contextlib.nullcontext(registry)
    platform: Platform = request.getfixturevalue("standing")
    platform.sql("truncate composition")
    return lambda: postgres_registry(platform)


async def test_a_composition_is_found_by_its_short_id_by_its_owner_alone(open_registry: Open) -> None:
    async with open_registry() as registry:
        for uid in ("H4sIAAAA1", "H4sIAAAA2"):
            await record(registry, uid)
        assert await registry.find("school", short_id("H4sIAAAA2")) == "H4sIAAAA2"
        assert await registry.find("other", short_id("H4sIAAAA2")) is None
        assert await registry.find("school", short_id("H4sIAAAA3")) is None
        assert await registry.find("school", "f" * 16) is None


async def record(registry: CompositionRegistry, uid: str, tenant: str = "school", **texts: object) -> None:
    values = {"title": f"Title of {uid}", "description": "", "author": "", "tags": [], "version": "1"} | texts
    await registry.record(tenant, uid, **values)


async def test_a_composition_stays_its_first_tenants(open_registry: Open) -> None:
    async with open_registry() as registry:
        assert await registry.owner(LONG + "1") is None
        await record(registry, LONG + "1", title="Mine")
        await record(registry, LONG + "1", tenant="other", title="Theirs")
        await record(registry, LONG + "2", tenant="other")
        assert await registry.owner(LONG + "1") == "school"
        assert await registry.owner(LONG + "2") == "other"
        assert [entry.title for entry in await registry.search("school")] == ["Mine"]
        assert [entry.uid for entry in await registry.search("other")] == [LONG + "2"]


async def test_the_last_changed_comes_first_and_texts_are_the_newest(open_registry: Open) -> None:
    async with open_registry() as registry:
        for uid in ("first", "second", "third"):
            await record(registry, uid)
        await record(registry, "first", title="Anew", description="d", author="Ana", tags=["Um", "Dois"])
        found = await registry.search("school")
        assert [entry.uid for entry in found] == ["first", "third", "second"]
        newest = found[0]
        assert (newest.title, newest.description, newest.author) == ("Anew", "d", "Ana")
        assert newest.tags == ("Um", "Dois")
        assert newest.created_at < found[2].updated_at < newest.updated_at
        page = await registry.search("school", limit=2)
        rest = await registry.search("school", limit=2, before=page[-1].updated_at)
        assert [entry.uid for entry in [*page, *rest]] == ["first", "third", "second"]


async def test_what_was_only_read_stays_where_it_is_and_what_was_changed_comes_first(
    open_registry: Open,
) -> None:
    async with open_registry() as registry:
        for uid in ("first", "second"):
            await record(registry, uid)
        before = await registry.search("school")
        await record(registry, "first")
        assert await registry.search("school") == before
        # Its widgets differ, none of its texts does.
        await record(registry, "first", version="2")
        after = await registry.search("school")
        assert [entry.uid for entry in after] == ["first", "second"]
        assert after[0].updated_at > before[1].updated_at


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {"water", "cells"}),
        ("agua", {"water"}),
        ("CICLO água", {"water"}),
        ("ciclo ana", {"water"}),
        ("celula", {"cells"}),
        ("célula agua", set()),
        ("%", {"cells"}),
        ("_", set()),
        ("100%", {"cells"}),
        ("ciências", {"water", "cells"}),
        ("o'; drop table composition; --", set()),
    ],
)
async def test_case_and_accents_do_not_matter(open_registry: Open, text: str, found: set[str]) -> None:
    async with open_registry() as registry:
        await record(registry, "water", title="O Ciclo da Água", author="Ana", tags=["Ciências"])
        await record(registry, "cells", title="A célula", description="100% biologia", tags=["CIENCIAS"])
        await record(registry, "foreign", tenant="other", title="O ciclo da água, 100% ciências")
        assert {entry.uid for entry in await registry.search("school", text=text)} == found


async def test_a_tag_is_a_whole_tag(open_registry: Open) -> None:
    async with open_registry() as registry:
        await record(registry, "one", tags=["Ciências Naturais", "6º ano"])
        await record(registry, "two", tags=["Ciências"])
        for tag, found in (
            ("ciencias", ["two"]),
            ("CIÊNCIAS NATURAIS", ["one"]),
            ("nat", []),
            ("6º Ano", ["one"]),
        ):
            assert [entry.uid for entry in await registry.search("school", tag=tag)] == found


async def test_an_answer_is_bounded(open_registry: Open) -> None:
    async with open_registry() as registry:
        for number in range(105):
            await record(registry, f"uid-{number}", description="long " * 2000)
        assert len(await registry.search("school")) == 20
        assert len(await registry.search("school", limit=1000)) == 100
        assert len(await registry.search("school", limit=0)) == 1


async def test_changes_of_the_own_list_are_told_across_processes(open_registry: Open) -> None:
    async with open_registry() as writer, open_registry() as reader:
        await record(writer, "known")
        heard: list[str] = []
        listening = anyio.Event()

        async def listen() -> None:
            changes = reader.changes("school")
            # Until the connection listens, everybody is told once to look.
            listening.set()
            async for _ in changes:
                heard.append("changed")
                again.set()

        async with anyio.create_task_group() as group:
            again = anyio.Event()
            group.start_soon(listen)
            with anyio.fail_after(10):
                await listening.wait()
                while not again.is_set():
                    await record(writer, "known", title=f"{len(heard)}, {anyio.current_time()}")
                    with anyio.move_on_after(0.2):
                        await again.wait()
                again = anyio.Event()
                await anyio.sleep(0.3)
                before = len(heard)
                # Neither another tenant's list nor a mere look at a composition changes this one.
                await record(writer, "theirs", tenant="other")
                await record(writer, "known", title="the last")
                await again.wait()
                assert len(heard) == before + 1
                await record(writer, "known", title="the last")
                await anyio.sleep(0.3)
                assert len(heard) == before + 1
                again = anyio.Event()
                await record(writer, "known", title="the last", version="2")
                await again.wait()
                again = anyio.Event()
                await record(writer, "new")
                await again.wait()
            group.cancel_scope.cancel()
