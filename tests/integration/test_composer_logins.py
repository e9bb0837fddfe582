"""A login is used again by the next page of the same tenant, lies sealed in the store, and ends in time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from composer_mcp.composer.logins import Login, Logins
from composer_mcp.composition.lesson import Lesson
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import CompositionSaved, CreateComposition, Preview, PreviewComposition
from composer_mcp.jobs.work import Work
from composer_mcp.store.login_snapshots import (
    LoginSnapshots,
    PostgresLoginSnapshots,
    SqliteLoginSnapshots,
)

from .composer_fixtures import Bench, Standin
from .support.stores import Stores

pytestmark = pytest.mark.anyio
LESSON = Lesson.model_validate({"title": "Aula", "elements": [{"type": "text", "text": "Oi"}]})


@asynccontextmanager
async def snapshots_of(stores: Stores) -> AsyncIterator[LoginSnapshots]:
    async with stores.open() as opened:
        snapshots: LoginSnapshots
        if opened.file is not None:
            snapshots = SqliteLoginSnapshots(opened.file)
        else:
            assert opened.pool is not None
            snapshots = PostgresLoginSnapshots(opened.pool)
        yield snapshots


def logins_of(snapshots: LoginSnapshots, standin: Standin, **changes: Any) -> Logins:
    token = changes.pop("token", standin.token)
    return Logins(snapshots, SecretStr(token), SecretStr(standin.project_key), standin.settings(**changes))


def ways() -> dict[str, float]:
    return {
        way: REGISTRY.get_sample_value("composer_browser_logins_total", {"way": way}) or 0.0
        for way in ("anew", "restored", "refused")
    }


async def previewed(work: Work, uid: str) -> Preview:
    preview = await handlers.run(PreviewComposition(uid=uid), work)
    assert isinstance(preview, Preview) and preview.composition_loaded
    return preview


async def saved(work: Work) -> str:
    found = await handlers.run(CreateComposition(lesson=LESSON), work)
    assert isinstance(found, CompositionSaved)
    return found.uid


async def test_the_next_page_goes_on_with_the_login_and_shows_the_same(
    bench: Bench, standin: Standin, stores: Stores
) -> None:
    async with snapshots_of(stores) as snapshots, bench.work() as work:
        work = dataclasses.replace(work, logins=logins_of(snapshots, standin))
        uid = await saved(work)
        before = ways()
        first = await previewed(work, uid)
        asked = standin.calls("user_me")
        second = await previewed(work, uid)
    assert standin.calls("user_me") == asked
    assert first.picture == second.picture and first.final_url == second.final_url
    assert second.console_errors == [] and second.network_errors == []
    now = ways()
    assert (now["anew"] - before["anew"], now["restored"] - before["restored"]) == (1, 1)


async def test_what_is_kept_holds_no_secret_even_for_its_reader(
    bench: Bench, standin: Standin, stores: Stores
) -> None:
    async with snapshots_of(stores) as snapshots, bench.work() as work:
        logins = logins_of(snapshots, standin)
        work = dataclasses.replace(work, logins=logins)
        await previewed(work, await saved(work))
        sealed = await snapshots.find("school")
        assert sealed is not None
        for secret in (standin.token, standin.project_key, "rdp-composer", "access_token"):
            assert secret.encode() not in sealed
        found = await logins.find("school")
        assert found is not None and standin.token in str(found.storage)


async def test_a_login_opens_for_its_tenant_its_token_and_its_place_only(
    standin: Standin, stores: Stores
) -> None:
    login = Login([], [{"name": "who", "value": "school"}])
    async with snapshots_of(stores) as snapshots:
        logins = logins_of(snapshots, standin)
        await logins.keep("school", login)
        sealed = await snapshots.find("school")
        assert sealed is not None
        assert await logins.find("school") == login
        assert await logins.find("another") is None
        # Somebody who writes to the database gives it to another tenant, or changes it.
        await snapshots.keep("another", sealed, 60)
        assert await logins.find("another") is None
        await snapshots.keep("school", sealed[:-1] + bytes([sealed[-1] ^ 1]), 60)
        assert await logins.find("school") is None
        await snapshots.keep("school", sealed, 60)
        assert await logins_of(snapshots, standin, token=standin.token + "x").find("school") is None
        assert await logins_of(snapshots, standin, app_url="https://other.example").find("school") is None


async def test_a_login_expires_and_can_be_switched_off(standin: Standin, stores: Stores) -> None:
    login = Login([], [{"name": "who", "value": "school"}])
    async with snapshots_of(stores) as snapshots:
        await logins_of(snapshots, standin, login_snapshot_seconds=0.2).keep("school", login)
        deadline = time.monotonic() + 30
        logins = logins_of(snapshots, standin)
        while await logins.find("school") is not None:
            assert time.monotonic() < deadline
        # Whoever keeps one sweeps out what has expired.
        await logins.keep("other", login)
        assert await logins.find("other") == login
        assert await logins_of(snapshots, standin, login_snapshot_seconds=0).find("other") is None


@pytest.mark.parametrize("state", ["empty", "refused"])
async def test_a_login_that_composer_does_not_accept_is_thrown_away_and_made_anew(
    bench: Bench, standin: Standin, stores: Stores, state: str
) -> None:
    storage = {
        "empty": [],
        "refused": [
            {"name": "rdp-composer-user-data", "value": '{"access_token": "of-last-year"}'},
            {"name": "rdp-composer-active-project", "value": '{"key": "of-last-year"}'},
        ],
    }[state]
    async with snapshots_of(stores) as snapshots, bench.work() as work:
        logins = logins_of(snapshots, standin)
        work = dataclasses.replace(work, logins=logins)
        uid = await saved(work)
        await logins.keep("school", Login([], storage))
        before = ways()
        preview = await previewed(work, uid)
        assert preview.console_errors == [] and preview.network_errors == []
        now = await logins.find("school")
        assert now is not None and standin.token in str(now.storage)
        await previewed(work, uid)
    after = ways()
    assert {way: after[way] - before[way] for way in after} == {"anew": 1, "restored": 1, "refused": 1}


async def test_without_its_store_a_page_is_simply_logged_in(bench: Bench, standin: Standin) -> None:
    """The database is away: nothing is restored, nothing is kept, the preview is taken."""
    async with bench.work() as work:
        nobody = asyncpg.create_pool(min_size=0, max_size=1, host="127.0.0.1", port=1, timeout=1)
        async with nobody as pool:
            work = dataclasses.replace(work, logins=logins_of(PostgresLoginSnapshots(pool), standin))
            await previewed(work, await saved(work))
