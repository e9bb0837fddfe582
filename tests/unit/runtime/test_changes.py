"""What an operator may change while the server runs, and what they are told otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.runtime import listing
from composer_mcp.runtime.changes import Changes
from composer_mcp.runtime.current import Live, RuntimeSettings
from composer_mcp.runtime.keys import CHANGEABLE
from composer_mcp.runtime.sqlite_store import SqliteRuntimeStore
from composer_mcp.runtime.store import Override, Stored
from composer_mcp.settings import Settings, catalogue, load
from composer_mcp.store.sqlite import Sqlite

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(
        f'state_directory = "{tmp_path}"\n[composer]\nproject_uid = "p"\nconnector_uid = "c"\n'
        "[queue]\ntotal_limit = 500\n"
    )
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    return load(config)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteRuntimeStore]:
    async with Sqlite.open(tmp_path / "state.db") as database:
        yield SqliteRuntimeStore(database)


def stored(version: int = 7, **values: Any) -> Stored:
    now = datetime.now(UTC)
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Stored(version, {key: Override(key, value, version, now, "ana") for key, value in named.items()})


def test_whatever_may_change_is_a_setting_of_the_file_and_followed(settings: Settings) -> None:
    described = catalogue.by_name()
    for key in CHANGEABLE:
        assert described[key].changeable
        section, _, field = key.partition(".")
        assert field in getattr(RuntimeSettings.of(settings), section).model_dump()


@pytest.mark.parametrize(
    ("key", "value", "code", "told"),
    [
        (
            "queue.total_limit",
            "0",
            "setting_invalid",
            "whole number, at least 1, at most 1000000; '0' is not",
        ),
        ("queue.total_limit", "many", "setting_invalid", "whole number, at least 1"),
        ("log.level", "loud", "setting_invalid", "one of `debug`, `info`, `warning`, `error`; 'loud' is not"),
        ("intake.reason", "x" * 201, "setting_invalid", "at most 200 characters"),
        ("queue.total", "1", "setting_unknown", "queue.total_limit"),
        ("log.levle", "info", "setting_unknown", "log.level"),
        ("limit", "1", "setting_unknown", "intake.mode"),
        ("worker.attempt_limit", "5", "setting_fixed", "cannot be changed while the server runs"),
    ],
)
async def test_a_change_that_is_not_allowed_says_what_is(
    store: SqliteRuntimeStore, settings: Settings, key: str, value: str, code: str, told: str
) -> None:
    with pytest.raises(ComposerError) as refusal:
        await Changes(store, settings).change({key: value, "intake.mode": "refuse"}, actor="ana")
    assert refusal.value.code.code == code
    assert told in f"{refusal.value.sentence} {refusal.value.remedy}"
    assert (await store.read()).version == 0, "all or nothing"


async def test_what_is_set_already_makes_no_new_version(
    store: SqliteRuntimeStore, settings: Settings
) -> None:
    changes = Changes(store, settings)
    first = await changes.change({"queue.total_limit": "77"}, actor="ana")
    assert (first.version, first.values) == (1, {"queue.total_limit": 77})
    assert (await changes.change({"queue.total_limit": 77}, actor="eva")).version == 1
    assert (await changes.change({"log.level": None}, actor="eva")).version == 1
    assert (await changes.change({"queue.total_limit": None}, actor="eva")).values == {}


async def test_a_change_for_a_version_that_is_gone_is_refused(
    store: SqliteRuntimeStore, settings: Settings
) -> None:
    changes = Changes(store, settings)
    await changes.change({"queue.total_limit": 77}, actor="ana", expected=0)
    with pytest.raises(ComposerError) as refusal:
        await changes.change({"queue.total_limit": 78}, actor="eva", expected=0)
    assert refusal.value.code.code == "settings_changed"
    assert (await store.read()).values == {"queue.total_limit": 77}


def test_a_process_applies_what_is_stored_and_tells_who_listens(settings: Settings) -> None:
    live, heard = Live(settings), []
    live.on_change(heard.append)
    live.apply(stored(queue__total_limit=9, log__level="debug"))
    assert live.current().queue.total_limit == 9 and live.current().queue.per_tenant_limit == 100
    assert [now.log.level for now in heard] == ["debug"]
    live.apply(stored(8))
    assert live.current().queue.total_limit == 500, "back to the configuration file"


def test_what_another_release_has_stored_does_not_take_the_rest_with_it(settings: Settings) -> None:
    live = Live(settings)
    live.apply(stored(queue__total_limit=9, log__level="loud", queue__colour="red", worker__attempt_limit=1))
    assert live.current().queue.total_limit == 9 and live.current().log.level == "info"


def test_the_list_tells_where_each_value_comes_from(
    settings: Settings, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPOSER_MCP__WORKER__CONCURRENCY", "4")
    settings = load(config)
    overrides = stored(log__level="debug", queue__total_limit="none")
    shown = {each.name: each for each in listing.values(settings, overrides)}
    assert shown["worker.concurrency"].value == 4
    sources = ("worker.concurrency", "queue.total_limit", "queue.per_tenant_limit", "log.level")
    assert [shown[name].source for name in sources] == ["environment", "file", "default", "runtime"]
    assert (shown["log.level"].value, shown["log.level"].changed_by) == ("debug", "ana")
    assert shown["queue.total_limit"].value == 500 and "integer" in (shown["queue.total_limit"].ignored or "")
    assert shown["issuers.0.issuer"].value == "urn:composer-mcp:local"
