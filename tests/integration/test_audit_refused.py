"""An entry that the database does not take is isolated: it stops no other one, and is not lost itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from composer_mcp.audit import trail as writing
from composer_mcp.audit.chain import Keys
from composer_mcp.audit.entry import Entry
from composer_mcp.audit.store import Filter
from composer_mcp.audit.trail import Trail
from composer_mcp.errors import STORE_UNAVAILABLE, ComposerError
from composer_mcp.observability import logs
from composer_mcp.settings import LogSettings

from .audit_stand import KEYS, Stand, entry, postgres_stand, stand_on
from .support.installation import Platform

pytestmark = pytest.mark.anyio

#: Each database has its own way to refuse rows, and each raises what it raises for a bad value.
RULES = {
    "postgres": "alter table audit add constraint no_{0} check (line not like '%{0}%')",
    "sqlite": "create trigger no_{0} before insert on audit when new.line like '%{0}%' "
    "begin select raise(abort, 'no {0}'); end",
}
AWAY_WITH_IT = {"postgres": "alter table audit drop constraint no_{0}", "sqlite": "drop trigger no_{0}"}


@pytest.fixture(params=["postgres", "sqlite"])
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    async with stand_on(request.param, request) as stand:
        yield stand


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["stand"])


async def kept(stand: Stand) -> list[dict[str, Any]]:
    return [json.loads(row.line) for row in reversed(await stand.store.find(Filter(), 10_000))]


def reduced(entries: list[dict[str, Any]]) -> list[str]:
    return [told["target"] for told in entries if "not_kept" in told.get("details", {})]


def noted(trail: Trail, numbers: range, bad: set[int]) -> None:
    for number in numbers:
        trail.note(entry(number, details={"text": "poison" if number in bad else "harmless"}))


async def test_all_others_are_written_in_their_order(stand: Stand, kind: str) -> None:
    await stand.intruder.do(RULES[kind].format("poison"))
    bads = [{0}, {99}, {137}, {3, 4, 98, 211}, set(range(40, 60))]
    for before, bad in enumerate(bads):
        async with stand.trail() as trail:
            noted(trail, range(250), bad)
            await trail.record(entry(250))
        entries = (await kept(stand))[before * 251 :]
        assert [told["target"] for told in entries] == [f"composition-{number}" for number in range(251)]
        assert reduced(entries) == [f"composition-{number}" for number in sorted(bad)]
        for told in entries:
            assert told["actor"] == "https://issuer.test maria" and told["action"] == "tool.get_composition"
    verdict = await stand.verify()
    assert verdict.ok and verdict.entries == len(bads) * 251


async def test_whoever_waits_for_such_an_entry_is_told_that_it_is_recorded(
    stand: Stand, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(LogSettings())
    await stand.intruder.do(RULES[kind].format("poison"))
    async with stand.trail() as trail:
        await asyncio.gather(
            *(trail.record(entry(number, details={"text": "poison"})) for number in range(7)),
            trail.record(entry(7)),
        )
        assert len(reduced(await kept(stand))) == 7, "durable when told"
        trail.admit()
        assert trail.problem is None
    told = "".join(capsys.readouterr())
    assert told.count("audit.reduced") == 7 and "poison" in told, "the log has what the trail has not"


def _unguarded(entry: Entry) -> str:
    """Make a line as if nobody had thought of characters that a database does not take."""
    texts = entry._asdict() | {"at": entry.at.isoformat(timespec="microseconds"), "details": {}}
    return json.dumps(texts, ensure_ascii="\0" in entry.actor)


@pytest.mark.parametrize("character", ["\0", "\ud800"])
async def test_so_are_values_that_the_driver_or_the_server_refuses(
    stand: Stand, kind: str, character: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NUL is refused by PostgreSQL; half a character by whatever has to send it, on both."""
    guarded = writing.line
    monkeypatch.setattr(
        writing, "line", lambda entry: guarded(entry) if "\\" in entry.actor else _unguarded(entry)
    )
    async with stand.trail() as trail:
        for number in range(60):
            trail.note(entry(number, actor=f"ana{character}" if number == 31 else "ana"))
        await trail.record(entry(60, actor="ana"))
    entries = await kept(stand)
    assert [told["target"] for told in entries] == [f"composition-{number}" for number in range(61)]
    if (kind, character) != ("sqlite", "\0"):
        assert reduced(entries) == ["composition-31"]
        assert entries[31]["actor"] == "ana" + character.encode("unicode_escape").decode()
    assert (await stand.verify()).ok


async def test_a_store_that_refuses_everything_loses_nothing(stand: Stand, kind: str) -> None:
    """Then it is not the entries' fault: calls are refused until it is mended, and what waits is written."""
    await stand.intruder.do(RULES[kind].format("school"))
    async with stand.trail() as trail:
        with pytest.raises(ComposerError) as refusal:
            await trail.record(entry(0))
        assert refusal.value.code.code == "audit_broken"
        for number in range(1, 150):
            trail.note(entry(number))
        with pytest.raises(ComposerError):
            trail.admit()
        await stand.intruder.do(AWAY_WITH_IT[kind].format("school"))
    entries = await kept(stand)
    assert [told["target"] for told in entries] == [f"composition-{number}" for number in range(150)]
    assert len(reduced(entries)) <= 1
    assert (await stand.verify()).ok


async def test_an_entry_put_in_by_somebody_else_is_not_taken_for_a_bad_value(stand: Stand) -> None:
    await stand.record(3)
    (*_, last) = await stand.rows("audit")
    places = ", ".join("?" * len(last))
    await stand.intruder.do(f"insert into audit values ({places})", 4, *last[1:])
    async with stand.trail() as trail:
        with pytest.raises(ComposerError) as refusal:
            await trail.record(entry(4))
        assert refusal.value.code.code == "audit_broken"
        await stand.intruder.do("delete from audit where number = 4")
    assert reduced(await kept(stand)) == [] and (await stand.verify()).entries == 4


async def test_a_database_that_is_away_is_waited_for_with_a_bad_entry_in_line(platform: Platform) -> None:
    keys = Keys([platform.secrets.read("audit-key").get_secret_value()])
    async with postgres_stand(platform) as stand:
        await stand.intruder.do(RULES["postgres"].format("poison"))
    async with postgres_stand(platform) as stand, stand.trail(keys) as trail:
        await trail.record(entry(0))
        await asyncio.to_thread(platform.postgres.stop)
        try:
            noted(trail, range(1, 120), {17})
            with pytest.raises(ComposerError) as away:
                await trail.record(entry(120))
            assert away.value.code.code == "store_unavailable"
        finally:
            await asyncio.to_thread(platform.postgres.start)
        await trail.record(entry(121))
    async with postgres_stand(platform) as stand:
        entries = await kept(stand)
        assert [told["target"] for told in entries] == [f"composition-{number}" for number in range(122)]
        assert reduced(entries) == ["composition-17"] and (await stand.verify(keys)).ok


async def test_a_lost_answer_and_a_bad_entry_write_nothing_twice(stand: Stand, kind: str) -> None:
    """The connection breaks at every second append that was done, before its process hears of it."""
    await stand.intruder.do(RULES[kind].format("poison"))
    append, done = stand.store.append, []

    async def unlucky(*arguments: Any) -> bool:
        appended = await append(*arguments)
        done.append(appended)
        if len(done) % 2:
            raise {"postgres": ConnectionResetError(), "sqlite": STORE_UNAVAILABLE.error()}[kind]
        return appended

    stand.store.append = unlucky
    async with stand.trail() as trail:
        noted(trail, range(120), {5, 64})
        await trail.record(entry(120))
    entries = await kept(stand)
    assert [told["target"] for told in entries] == [f"composition-{number}" for number in range(121)]
    assert reduced(entries) == ["composition-5", "composition-64"]
    assert (await stand.verify(KEYS)).ok and len(done) > 2


async def test_a_call_whose_arguments_are_refused_is_done_recorded_and_holds_nobody_up(
    platform: Platform,
) -> None:
    """Through the front: a teacher's call, and those of others at the same time."""
    web = await asyncio.to_thread(platform.start_web)
    await asyncio.to_thread(platform.start_tame_worker)
    await asyncio.to_thread(platform.sql, RULES["postgres"].format("poison"))

    async def made(title: str) -> None:
        lesson = {"title": title, "elements": [{"type": "text", "text": title}]}
        call = {"lesson": lesson, "idempotency_key": f"key-of-{title}"}
        async with platform.client() as client:
            answer = await client.call_tool("create_composition", call)
        assert not answer.is_error, answer

    titles = [f"lesson-{number}" for number in range(5)]
    await asyncio.gather(*map(made, [*titles[:2], "poison", *titles[2:]]))
    await made("later")
    query = "select line from audit where action = 'tool.create_composition' order by number"
    entries = [json.loads(text) for text in (await asyncio.to_thread(platform.sql, query)).splitlines()]
    begun = [told for told in entries if told["outcome"] == "begun"]
    assert len(begun) == 7 and sum(told["outcome"] == "ok" for told in entries) == 7
    whole = [
        told["details"]["arguments"]["lesson"]["title"] for told in begun if "arguments" in told["details"]
    ]
    assert sorted(whole) == ["later", *titles]
    (bad,) = [told for told in begun if "not_kept" in told["details"]]
    assert bad["tenant"] == "school" and bad["actor"].startswith(platform.issuer.url), "who is told"
    assert bad["source"] == "127.0.0.1" and len(bad["correlation_id"]) == 32
    await asyncio.to_thread(web.wait_for, "audit.reduced")
    assert "key-of-poison" in web.output, "and the log tells what"
    verified = json.loads(await asyncio.to_thread(platform.run, "audit", "verify", "--json"))
    assert verified["ok"], verified
