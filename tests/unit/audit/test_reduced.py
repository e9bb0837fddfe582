"""An entry that cannot be kept is not lost, and takes no other with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from composer_mcp.audit.entry import Clean, Entry, line, now, reduced, told
from composer_mcp.audit.sqlite import SqliteAudit
from composer_mcp.audit.store import Trouble
from composer_mcp.audit.verify import verify
from composer_mcp.observability import metrics
from composer_mcp.observability.masking import hide
from composer_mcp.store import database, sqlite
from tests.unit.audit.trails import KEYS, kept_trail, recorded

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no word about me")

    __repr__ = __str__


def deep() -> Any:
    value: Any = "end"
    for _ in range(100_000):
        value = [value]
    return value


def entry(number: int = 0, **values: Any) -> Entry:
    usual = {"at": now(), "tenant": "school", "actor": "ana", "action": "tool.x", "target": str(number)}
    return Entry(**usual | values)


BAD: dict[str, Callable[[], Entry]] = {
    "a key that JSON does not have": lambda: entry(50, details=Clean({"a": {(1, 2): 3}})),
    "nested without end": lambda: entry(50, details=Clean(a=deep())),
    "a thing without a text": lambda: entry(50, details=Clean(a=Unspeakable())),
    "details that are none": lambda: entry(50, details=[1, 2]),
    "a target that is no text": lambda: entry(50, correlation_id=7),
    "a time that is none": lambda: entry(50, at="yesterday"),
    "half a character and NUL, and no text": lambda: entry(50, actor="ana\0\ud800", source=None),
}


@pytest.mark.parametrize("bad", BAD)
async def test_an_entry_that_has_no_line_stands_there_without_its_details(bad: str, tmp_path: Path) -> None:
    before = counted()
    async with kept_trail(tmp_path) as trail:
        for number in range(50):
            trail.note(entry(number))
        await trail.record(BAD[bad]())
        for number in range(51, 130):
            trail.note(entry(number))
        verdict = await verify_all(trail)
        assert verdict.ok
    entries = await recorded(tmp_path)
    assert len(entries) == 130, "none is missing"
    assert [told["target"] for told in entries if "details" not in told] == [
        str(number) for number in range(130) if number != 50
    ]
    found = entries[50]
    assert found["action"] == "tool.x" and found["actor"].startswith("ana") and found["target"] == "50"
    assert "details" in found["details"]["not_kept"] and datetime.fromisoformat(found["at"])
    assert counted() == before + 1


def counted() -> float:
    return metrics.REGISTRY.get_sample_value("composer_audit_reduced_total") or 0.0


async def verify_all(trail: Any) -> Any:
    async with trail._store.snapshot() as snapshot:
        return await verify(snapshot, KEYS)


def test_what_is_kept_in_its_place_is_plain_and_tells_who_and_what() -> None:
    odd = entry(actor="Célia\0\ud800\n", details={"password": "simple"}, target="a-secret-that-is-known-here")
    hide("a-secret-that-is-known-here")
    text = line(reduced(odd, ValueError("with simple in it")))
    read = json.loads(text)
    assert text.isascii() and text.isprintable()
    assert read["actor"].encode().decode("unicode_escape") == "Célia\0\ud800\n", "nothing of who is lost"
    assert read["at"] == odd.at.isoformat(timespec="microseconds")
    assert "simple" not in text and "a-secret" not in text


def test_the_log_tells_the_rest_without_secrets_whatever_is_wrong_with_it() -> None:
    for make in BAD.values():
        assert told(make()).isascii()
    text = told(entry(details={"api_key": {"of": "nested"}, "title": "Células \0", "long": "x" * 100_000}))
    assert "C\\xe9lulas \\x00" in text and "nested" not in text and len(text) < 10_000


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (asyncpg.exceptions._base.DataError("of the client"), True),
        (asyncpg.DataError("of both"), True),
        (asyncpg.CharacterNotInRepertoireError("NUL"), True),
        (asyncpg.CheckViolationError("a rule"), True),
        (asyncpg.exceptions.StatementTooComplexError("too deep"), True),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), True),
        (OverflowError("too large"), True),
        (asyncpg.InterfaceError("connection is closed"), False),
        (asyncpg.exceptions.ClientConfigurationError("no such host"), False),
        (asyncpg.UniqueViolationError("somebody else was here"), False),
        (asyncpg.InsufficientPrivilegeError("no right"), False),
        (asyncpg.CannotConnectNowError("starting"), False),
        (ConnectionResetError("away"), False),
        (TimeoutError(), False),
    ],
)
def test_a_refused_value_is_told_from_a_database_that_is_away(error: Exception, refused: bool) -> None:
    assert database.refuses_value(error) is refused


async def test_so_it_is_on_sqlite(tmp_path: Path) -> None:
    async with sqlite.Sqlite.open(tmp_path / "x.sqlite3") as file:
        store = SqliteAudit(file)
        insert = "insert into audit_mark values (?, ?, ?, ?, ?)"

        async def trouble(statement: str, *values: Any) -> Trouble:
            try:
                await file.run(lambda connection: connection.execute(statement, values))
            except Exception as error:
                return store.trouble(error)
            raise AssertionError("it was taken")

        good = ("anchor", 1, b"", "", b"")
        for place, value in ((1, 2**70), (1, "x"), (0, "\ud800"), (0, "other"), (2, [1]), (2, None)):
            values = [*good[:place], value, *good[place + 1 :]]
            assert await trouble(insert, *values) is Trouble.REFUSED, value
        assert await trouble(insert, *good) is Trouble.LASTING, "there is one already"
        assert await trouble("select * from nothing") is Trouble.AWAY
