"""What is promised of the audit trail, on PostgreSQL and on SQLite alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from composer_mcp.audit.archive import Archive, NotArchived, archive, restart, verify_archives
from composer_mcp.audit.chain import Checkpoint, Keys
from composer_mcp.audit.entry import now
from composer_mcp.audit.store import Filter
from composer_mcp.errors import ComposerError
from composer_mcp.settings import ConfigurationError

from .audit_stand import KEY, KEYS, Stand, entry, postgres_stand, stand_on
from .support.installation import Platform
from .support.waiting import PAUSE_SECONDS

pytestmark = pytest.mark.anyio

OTHER = Keys(["another-key-which-nobody-here-has-ever-used"])


@pytest.fixture(params=["postgres", "sqlite"])
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    async with stand_on(request.param, request) as stand:
        yield stand


async def test_what_was_recorded_is_there_and_verifies(stand: Stand) -> None:
    assert (await stand.verify()).ok, "a trail without an entry"
    async with stand.trail() as trail:
        await trail.record(entry(1, action="tool.create_composition", details={"title": "Células \0 \ud800"}))
        (first,) = await stand.store.find(Filter(), 10)
        assert json.loads(first.line)["details"] == {"title": "Células \ufffd ?"}
        for number in range(2, 251):
            trail.note(entry(number))
    verdict = await stand.verify()
    assert verdict.ok and (verdict.first, verdict.last, verdict.entries) == (1, 250, 250)
    told = [json.loads(row.line)["target"] for row in await stand.store.find(Filter(), 250)]
    assert told == [f"composition-{number}" for number in range(250, 0, -1)]


async def test_a_note_is_written_within_a_second(stand: Stand) -> None:
    async with stand.trail() as trail:
        trail.note(entry())
        written: list[int] = []
        async with asyncio.timeout(1):
            while True:
                written = [row.number for row in await stand.store.find(Filter(), 2)]
                if written:
                    break
                await asyncio.sleep(PAUSE_SECONDS)
        assert written == [1]


async def test_several_processes_write_one_chain(stand: Stand) -> None:
    async def write(name: str) -> None:
        async with stand.trail() as trail:
            for number in range(30):
                await trail.record(entry(number, actor=name))

    names = [f"process {number}" for number in range(5)]
    await asyncio.gather(*map(write, names))
    verdict = await stand.verify()
    assert verdict.ok and verdict.entries == 150
    for name in names:
        told = [json.loads(row.line)["target"] for row in await stand.store.find(Filter(actor=name), 100)]
        assert told == [f"composition-{number}" for number in range(29, -1, -1)], "each in its order, once"


async def test_entries_are_found_by_what_they_say(stand: Stand) -> None:
    began = now()
    async with stand.trail() as trail:
        trail.note(entry(1, at=began - timedelta(days=2), action="tool.a_b"))
        trail.note(entry(2, tenant="club", action="tool.axb", correlation_id="one-call"))
        trail.note(entry(3, actor="cli:ana@host", action="account.disable", outcome="queue_full"))

    async def found(**which: Any) -> list[int]:
        return [row.number for row in await stand.store.find(Filter(**which), 10)]

    assert await found() == [3, 2, 1]
    assert await found(since=began) == [3, 2] and await found(until=began) == [1]
    assert await found(tenant="club") == [2] and await found(outcome="queue_full") == [3]
    assert await found(action="tool.*") == [2, 1]
    assert await found(action="tool.a_b") == [1], "an underscore is nothing but itself"
    assert await found(action="TOOL.A_B") == []
    assert await found(actor="cli:*") == [3] and await found(correlation_id="one-call") == [2]
    assert await found(before=3) == [2, 1] and await found(before=1) == []


async def test_a_key_can_be_replaced(stand: Stand) -> None:
    await stand.record(3)
    both = Keys(["a-new-key-of-the-trail-that-is-long-enough", KEY])
    await stand.record(3, both)
    assert (await stand.verify(both)).ok
    alone = await stand.verify(Keys(["a-new-key-of-the-trail-that-is-long-enough"]))
    assert [problem.number for problem in alone.problems] == [1, 2, 3]
    assert "not among those of audit-key" in alone.problems[0].what


async def test_whoever_lacks_the_key_cannot_go_on_with_the_chain(stand: Stand) -> None:
    await stand.record(3)
    async with stand.trail(OTHER) as trail:
        with pytest.raises(ComposerError) as refusal:
            await trail.record(entry())
        assert refusal.value.code.code == "audit_broken"
        with pytest.raises(ComposerError):
            trail.admit()
    verdict = await stand.verify()
    assert verdict.ok and verdict.entries == 3


async def test_a_trail_that_was_cut_shows_against_a_checkpoint(stand: Stand) -> None:
    """Also when everything is taken back to an earlier moment, as by putting a backup in place."""
    await stand.record(5)
    early = [await stand.rows(table) for table in ("audit", "audit_mark")]
    await stand.record(5)
    kept = Checkpoint.parse((await stand.verify()).checkpoint)
    assert kept is not None and (await stand.verify(against=[kept])).ok
    for table, rows in zip(("audit", "audit_mark"), early, strict=True):
        await stand.lay(table, rows)
    assert (await stand.verify()).ok, "by itself the earlier trail is a good one"
    verdict = await stand.verify(against=[kept])
    assert [problem.number for problem in verdict.problems] == [10]


async def test_archived_entries_leave_and_verify_together_with_the_rest(stand: Stand, tmp_path: Path) -> None:
    await stand.record(1200)
    kept = Checkpoint.parse((await stand.verify()).checkpoint)
    limit = now()
    await stand.record(7)
    files = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    done = await archive(stand.owner, KEYS, limit, files[0])
    assert done is not None and (done.entries, done.first, done.last) == (1200, 1, 1200)
    assert await archive(stand.owner, KEYS, limit, files[1]) is None, "there is nothing older any more"
    verdict = await stand.verify()
    assert verdict.ok and (verdict.first, verdict.last) == (1201, 1207)
    await stand.record(1)
    assert (await archive(stand.owner, KEYS, now(), files[1])) is not None
    await stand.record(2)
    assert (await stand.verify()).ok

    async with stand.store.snapshot() as snapshot:
        anchor = snapshot.anchor
    found, met = await verify_archives(map(Archive, reversed(files)), KEYS, anchor, [kept])
    assert [verdict.ok for _, verdict in found] == [True, True] and met == {kept}

    lines = files[0].read_text().splitlines()
    for changed, number in (
        ([*lines[:5], *lines[6:]], 5),
        (lines[:-1], 1199),
        ([*lines[:9], lines[9].replace("maria", "mario"), *lines[10:]], 9),
        ([*lines[:9], "not JSON", *lines[10:]], 9),
    ):
        files[0].write_text("\n".join(changed) + "\n")
        found, _ = await verify_archives(map(Archive, files), KEYS, anchor)
        assert [verdict.ok for _, verdict in found] == [False, True]
        assert number in [problem.number for problem in found[0][1].problems]


async def test_what_is_not_intact_is_not_archived(stand: Stand, tmp_path: Path) -> None:
    await stand.record(5)
    await stand.intruder.do("delete from audit where number = 3")
    with pytest.raises(NotArchived):
        await archive(stand.owner, KEYS, now(), tmp_path / "file")
    assert len(await stand.rows("audit")) == 4
    with pytest.raises(ConfigurationError):
        Archive(tmp_path / "file")

    async with stand.trail(OTHER) as trail:
        with pytest.raises(ComposerError):
            await trail.record(entry())
    kept = await restart(stand.owner, OTHER, tmp_path / "file")
    assert kept.entries == 4 and len((tmp_path / "file").read_text().splitlines()) == 5
    await stand.record(1, OTHER)
    verdict = await stand.verify(OTHER)
    assert verdict.ok and (verdict.first, verdict.last) == (6, 6)


async def test_the_application_may_add_and_nothing_else(platform: Platform) -> None:
    async with postgres_stand(platform) as stand:
        await stand.record(3)
        store: Any = stand.store
        for statement in (
            "update audit set tenant = 'x'",
            "delete from audit",
            "truncate audit",
            "insert into audit select 9, at, tenant, actor, action, outcome, line, key, hash from audit",
            "update audit_mark set number = 0",
            "delete from audit_mark",
            "alter table audit disable trigger all",
            "create or replace function audit_append() returns void language sql as 'select 1'",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await store._pool.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await archive(stand.store, KEYS, now(), platform.folder / "file")
        assert (await stand.verify()).ok
