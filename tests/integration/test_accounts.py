"""Accounts and revoked tokens keep the same promises on every store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.security.accounts import AccountStore, Change, NewAccount, Revocation
from composer_mcp.store import database, postgres_accounts, sqlite_accounts
from composer_mcp.store.listener import Listener
from composer_mcp.store.postgres_accounts import Bell, PostgresAccounts
from composer_mcp.store.sqlite import Sqlite
from composer_mcp.store.sqlite_accounts import SqliteAccounts

from .support.installation import Platform
from .test_jobs_in_trouble import pool_of

pytestmark = pytest.mark.anyio

#: Opens the store as one more process would; all that are opened in one test share what is kept.
Open = Callable[[], contextlib.AbstractAsyncContextManager[AccountStore]]


@contextlib.asynccontextmanager
async def on_postgresql(platform: Platform) -> AsyncIterator[AccountStore]:
    password = platform.secrets.read("database-password")
    options = database.connection_options(platform.settings.postgresql, password, application="test")
    bell = Bell()
    async with pool_of(platform) as pool, Listener(options, [bell.ear]).run():
        yield PostgresAccounts(pool, bell)


@contextlib.asynccontextmanager
async def on_sqlite(path: Path) -> AsyncIterator[AccountStore]:
    async with Sqlite.open(path) as opened:
        yield SqliteAccounts(opened)


@pytest.fixture(params=["postgresql", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "sqlite":
        return lambda: on_sqlite(tmp_path / "composer.sqlite3")
    platform: Platform = request.getfixturevalue("standing")
    platform.sql("truncate account, token_revocation")
    return lambda: on_postgresql(platform)


def person(name: str, *roles: str, **more: Any) -> NewAccount:
    values = {"name": name, "issuer": "https://issuer.test", "subject": name, "tenant": "school"} | more
    return NewAccount(**values, roles=list(roles or ["teacher"]))


async def refusal(call: Any) -> str:
    with pytest.raises(ComposerError) as refused:
        await call
    assert refused.value.remedy and "unknown)" not in refused.value.sentence
    return refused.value.code.code


async def test_an_account_is_as_it_was_added(open_store: Open) -> None:
    async with open_store() as store, open_store() as elsewhere:
        before = datetime.now(UTC) - timedelta(seconds=60)
        added = await store.add(person("ana", "reader", "auditor", kind="service", note="of the library"))
        assert (added.kind, added.roles, added.note) == ("service", ["auditor", "reader"], "of the library")
        assert added.enabled and added.tokens_from is None and added.created_at > before
        assert await elsewhere.get("ana") == added
        assert await elsewhere.page() == [added]


async def test_a_name_and_a_caller_have_one_account(open_store: Open) -> None:
    async with open_store() as store:
        await store.add(person("ana"))
        assert await refusal(store.add(person("ana", subject="another"))) == "account_exists"
        assert await refusal(store.add(person("ana2", subject="ana"))) == "account_exists"
        await store.add(person("ana3", subject="ana", issuer="https://other.test"))
        assert [account.name for account in await store.page()] == ["ana", "ana3"]


async def test_what_a_change_leaves_out_stays(open_store: Open) -> None:
    async with open_store() as store:
        added = await store.add(person("ana", note="old"))
        changed = await store.change("ana", Change(enabled=False))
        assert changed == added.model_copy(update={"enabled": False, "changed_at": changed.changed_at})
        assert changed.changed_at >= added.changed_at
        changed = await store.change("ana", Change(roles=["reader"], note=""))
        assert (changed.enabled, changed.roles, changed.note) == (False, ["reader"], "")
        revoked = await store.change("ana", Change(revoke_tokens=True))
        assert revoked.tokens_from is not None
        assert abs(revoked.tokens_from.timestamp() - time.time()) < 60
        assert (await store.change("ana", Change(enabled=True))).tokens_from == revoked.tokens_from


async def test_what_is_not_there_is_told(open_store: Open) -> None:
    async with open_store() as store:
        assert await refusal(store.get("nobody")) == "account_unknown"
        assert await refusal(store.change("nobody", Change(enabled=True))) == "account_unknown"
        assert await refusal(store.remove("nobody")) == "account_unknown"


async def test_a_removed_account_is_gone_and_its_name_free(open_store: Open) -> None:
    async with open_store() as store:
        await store.add(person("ana"))
        await store.remove("ana")
        assert await store.page() == []
        await store.add(person("ana", "reader"))


@pytest.mark.parametrize("what", ["disable", "demote", "remove"])
async def test_the_last_administrator_stays(open_store: Open, what: str) -> None:
    def lose(store: AccountStore, name: str) -> Any:
        if what == "remove":
            return store.remove(name)
        return store.change(name, Change(enabled=False) if what == "disable" else Change(roles=["teacher"]))

    async with open_store() as store:
        await store.add(person("first", "administrator", "operator"))
        await store.add(person("second", "administrator"))
        await store.add(person("third", "operator"))
        await store.change("second", Change(enabled=False))
        assert await refusal(lose(store, "first")) == "last_administrator"
        assert (await store.get("first")).roles == ["administrator", "operator"]
        await store.change("second", Change(enabled=True))
        await lose(store, "first")
        assert await refusal(lose(store, "second")) == "last_administrator"


async def test_two_at_once_do_not_remove_the_last_two_administrators(open_store: Open) -> None:
    async with open_store() as store, open_store() as elsewhere:
        await store.add(person("first", "administrator"))
        await store.add(person("second", "administrator"))
        for _ in range(10):
            ends = await asyncio.gather(
                store.change("first", Change(enabled=False)),
                elsewhere.change("second", Change(enabled=False)),
                return_exceptions=True,
            )
            refused = [end.code.code for end in ends if isinstance(end, ComposerError)]
            assert refused == ["last_administrator"]
            for name in ("first", "second"):
                await store.change(name, Change(enabled=True))


async def test_pages_follow_each_other(open_store: Open) -> None:
    async with open_store() as store:
        for number in range(5):
            await store.add(person(f"a{number}", tenant="school" if number % 2 else "other"))
        first = await store.page(limit=2)
        assert [account.name for account in first] == ["a0", "a1"]
        assert [account.name for account in await store.page(after="a1", limit=2)] == ["a2", "a3"]
        assert [account.name for account in await store.page(tenant="school")] == ["a1", "a3"]


async def test_no_more_are_kept_than_fit(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (postgres_accounts, sqlite_accounts):
        monkeypatch.setattr(module, "ACCOUNT_LIMIT", 1)
        monkeypatch.setattr(module, "REVOCATION_LIMIT", 1)
    async with open_store() as store:
        await store.add(person("ana"))
        assert await refusal(store.add(person("rui"))) == "limit_reached"
        await store.revoke(Revocation(issuer="i", token_id="one"))
        assert await refusal(store.revoke(Revocation(issuer="i", token_id="two"))) == "limit_reached"


async def test_a_revocation_lasts_as_long_as_the_token(open_store: Open) -> None:
    async with open_store() as store:
        now = datetime.now(UTC)
        soon, later = now + timedelta(minutes=5), now + timedelta(minutes=50)
        await store.revoke(Revocation(issuer="i", token_id="one", expires_at=later))
        await store.revoke(Revocation(issuer="i", token_id="one", expires_at=soon, note="again"))
        await store.revoke(Revocation(issuer="i", token_id="old", expires_at=now - timedelta(hours=1)))
        unknown = await store.revoke(Revocation(issuer="i", token_id="two"))
        assert unknown.expires_at is not None and unknown.expires_at > now + timedelta(days=30)
        told = {revocation.token_id: revocation for revocation in await store.revocations()}
        assert set(told) == {"one", "two"} and told["one"].note == "again"
        assert told["one"].expires_at >= later
        snapshot = await store.newer(0)
        assert snapshot is not None and set(snapshot.revoked) == {("i", "one"), ("i", "two")}
        assert snapshot.revoked["i", "one"] >= later.timestamp()


async def test_every_change_makes_a_new_version(open_store: Open) -> None:
    async with open_store() as store, open_store() as elsewhere:
        await store.add(person("boss", "administrator"))
        version = 0
        for change in (
            lambda: store.add(person("ana")),
            lambda: store.change("ana", Change(enabled=False)),
            lambda: store.revoke(Revocation(issuer="i", token_id="one")),
            lambda: store.remove("ana"),
        ):
            await change()
            snapshot = await elsewhere.newer(version)
            assert snapshot is not None and snapshot.version != version
            version = snapshot.version
            assert await elsewhere.newer(version) is None
            assert [account.name for account in snapshot.accounts] == [
                account.name for account in await store.page()
            ]
        assert await refusal(store.remove("boss")) == "last_administrator"
        assert await elsewhere.newer(version) is None


async def test_who_waits_hears_of_a_change_at_once(open_store: Open) -> None:
    async with open_store() as store:
        await store.add(person("ana"))
        # What was told before anybody waited, the connection of the listener among it.
        while True:
            began = time.monotonic()
            await store.told(1)
            if time.monotonic() - began > 0.9:
                break
        waiting = asyncio.create_task(store.told(60))
        await asyncio.sleep(0)
        await store.change("ana", Change(enabled=False))
        await asyncio.wait_for(waiting, 30)
