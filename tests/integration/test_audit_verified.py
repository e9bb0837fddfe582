"""The trail is verified in stretches that add up to the whole, and over HTTP by whoever may see it."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from composer_mcp.audit import reading
from composer_mcp.audit.archive import archive
from composer_mcp.audit.chain import Checkpoint
from composer_mcp.audit.entry import now
from composer_mcp.audit.verify import Verdict
from composer_mcp.errors import ComposerError
from composer_mcp.security.accounts import NewAccount
from composer_mcp.store.postgres_accounts import Bell, PostgresAccounts

from .audit_stand import KEYS, Stand, entry, postgres_stand, stand_on
from .conftest import new_platform
from .support.authority import Authority
from .support.installation import Platform
from .support.issuer import Issuer
from .support.postgres import Postgres
from .test_jobs_in_trouble import pool_of

pytestmark = pytest.mark.anyio

ENTRIES = 130
#: Each would be a finding of ``audit verify``; the first that is told must have this place.
TAMPERED = {
    "changed": (
        "update audit set line = replace(line, 'composition-56', 'composition-99') where number = 57",
        57,
    ),
    "found by another name": ("update audit set actor = 'somebody else' where number = 57", 57),
    "removed": ("delete from audit where number = 57", 57),
    "removed many": ("delete from audit where number between 57 and 90", 57),
    "removed at the end": ("delete from audit where number > 119", 120),
    "inserted at the end": (
        "insert into audit select 131, at, tenant, actor, action, outcome, line, key, hash from audit "
        "where number = 57",
        131,
    ),
    "inserted before the beginning": (
        "insert into audit select -7, at, tenant, actor, action, outcome, line, key, hash from audit "
        "where number = 57",
        -7,
    ),
    "inserted between": (
        "update audit set number = -number where number > 56; update audit set number = 1 - number "
        "where number < 0; insert into audit select 57, at, tenant, actor, action, outcome, line, key, hash "
        "from audit where number = 20",
        57,
    ),
}


@pytest.fixture(params=["postgres", "sqlite"])
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    async with stand_on(request.param, request) as stand:
        yield stand


async def stretches(stand: Stand, limit: int, after: Checkpoint | None = None) -> list[Verdict]:
    """Verify to the end as a caller of the API does."""
    found = []
    async with stand.trail() as trail:
        while not found or not found[-1].done:
            found.append(await trail.verify(after, limit))
            after = Checkpoint.parse(found[-1].checkpoint)
            assert len(found) < 2 * ENTRIES, "it comes to an end"
    return found


async def test_stretches_add_up_to_the_whole(stand: Stand) -> None:
    assert [verdict.ok for verdict in await stretches(stand, 10)] == [True], "a trail without an entry"
    await stand.record(ENTRIES)
    whole = await stand.verify()
    for limit in (1, 40, 65, ENTRIES, 1000):
        found = await stretches(stand, limit)
        assert all(verdict.ok for verdict in found)
        assert sum(verdict.entries for verdict in found) == ENTRIES
        assert found[-1].checkpoint == whole.checkpoint
        ends = [(verdict.first, verdict.last) for verdict in found]
        assert ends[0][0] == 1 and ends[-1][1] == ENTRIES
        assert all(first == last + 1 for (_, last), (first, _) in itertools.pairwise(ends))
    # Nothing new: the end is seen again.
    (end,) = await stretches(stand, 10, Checkpoint.parse(whole.checkpoint))
    assert (end.ok, end.entries, end.checkpoint) == (True, 0, whole.checkpoint)


async def test_what_was_done_to_it_is_found_with_its_place(stand: Stand) -> None:
    await stand.record(ENTRIES)
    rows = await stand.rows("audit")
    for how, (statements, place) in TAMPERED.items():
        for statement in statements.split("; "):
            await stand.intruder.do(statement)
        whole = await stand.verify()
        found = await stretches(stand, 20)
        told = [problem for verdict in found for problem in verdict.problems]
        assert told and min(problem.number for problem in told) == place, how
        assert set(whole.problems) <= set(told), "as the command tells it, which tells the first twenty"
        await stand.lay("audit", rows)
        assert all(verdict.ok for verdict in await stretches(stand, 1000)), "put back it is a good one"


async def test_it_goes_on_in_the_chain_that_it_left(stand: Stand) -> None:
    """What was verified and is exchanged before the next call is found by the next call."""
    await stand.record(ENTRIES)
    async with stand.trail() as trail:
        point = Checkpoint.parse((await trail.verify(None, 57)).checkpoint)
        assert point is not None and point.number == 57
        forged = point._replace(hash=bytes(32))
        assert [problem.number for problem in (await trail.verify(forged, 10)).problems] == [57]
        beyond = await trail.verify(Checkpoint(9999, bytes(32)), 10)
        assert beyond.done and [problem.number for problem in beyond.problems] == [9999]
        await stand.intruder.do("delete from audit where number = 57")
        assert [problem.number for problem in (await trail.verify(point, 10)).problems] == [57]


async def test_it_does_not_begin_in_what_was_archived(stand: Stand, tmp_path: Path) -> None:
    await stand.record(20)
    async with stand.trail() as trail:
        early = Checkpoint.parse((await trail.verify(None, 10)).checkpoint)
        whole = Checkpoint.parse((await trail.verify(None, 100)).checkpoint)
        assert await archive(stand.owner, KEYS, now(), tmp_path / "old")
        with pytest.raises(ComposerError) as refusal:
            await trail.verify(early, 10)
        assert refusal.value.code.code == "audit_entry_unknown"
        await trail.record(entry())
        for point in (whole, None):
            verdict = await trail.verify(point, 10)
            assert verdict.ok and (verdict.first, verdict.last, verdict.done) == (21, 21, True)


async def test_a_stretch_ends_when_its_time_is_over(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "STRETCH_SECONDS", -1.0)
    await stand.record(3)
    found = await stretches(stand, 1000)
    assert [(verdict.first, verdict.ok) for verdict in found] == [(1, True), (2, True), (3, True)]


@pytest.fixture(scope="module")
def audited(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, issuer: Issuer, authority: Authority
) -> Iterator[Platform]:
    """A platform with its web, an auditor, and some entries."""
    folder = tmp_path_factory.mktemp("verified")
    with new_platform(folder, postgres, issuer, authority) as platform:
        asyncio.run(_prepared(platform))
        platform.start_web()
        yield platform


async def _prepared(platform: Platform) -> None:
    account = {"issuer": platform.issuer.url, "tenant": "school"}
    async with pool_of(platform) as pool:
        for name, role in (("auditor", "auditor"), ("operator", "operator")):
            await PostgresAccounts(pool, Bell()).add(
                NewAccount(name=name, subject=name, roles=[role], **account)
            )


@pytest.fixture
async def http(audited: Platform) -> AsyncIterator[httpx.AsyncClient]:
    token = audited.issuer.token("school", "audit:read", sub="auditor")
    base = audited.url.removesuffix("/mcp") + "/admin/v1/audit"
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as http:
        yield http


async def verified(http: httpx.AsyncClient, limit: int, after: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while not found or not found[-1]["done"]:
        asked = {"limit": limit} | ({"after": after} if after else {})
        answer = await http.get("/verify", params=asked)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        after = found[-1]["checkpoint"]
        assert len(found) < 100, "it comes to an end, though each call adds to the trail"
    return found


async def awaited(http: httpx.AsyncClient, count: int = 1, **wanted: str) -> list[dict[str, Any]]:
    """Return entries that are noted: they come within a second, or a little later on a busy machine."""
    give_up = time.monotonic() + 20
    while True:
        found: list[dict[str, Any]] = (await http.get("/entries", params=wanted)).json()["entries"]
        if len(found) >= count:
            return found
        assert time.monotonic() < give_up, found
        await asyncio.sleep(0.2)


async def test_it_is_verified_over_http_and_that_is_recorded(
    audited: Platform, http: httpx.AsyncClient
) -> None:
    for _ in range(30):
        assert (await http.get("/checkpoint")).status_code == 200
    await awaited(http, before="31", limit="30", count=30)
    found = await verified(http, 10)
    assert len(found) > 2 and all(stretch["ok"] and not stretch["faults"] for stretch in found)
    assert sum(stretch["entries"] for stretch in found) == found[-1]["last"]
    command = await asyncio.to_thread(
        audited.run, "audit", "verify", "--json", "--against", found[-1]["checkpoint"]
    )
    assert json.loads(command)["ok"]
    first = (await awaited(http, action="audit.verify"))[-1]
    assert first["target"] == "1-10"
    assert (first["outcome"], first["details"]["entries"]) == ("ok", 10)
    assert first["actor"].endswith(" auditor") and first["source"] == "127.0.0.1"


async def test_what_somebody_did_to_the_database_is_told_over_http(
    audited: Platform, http: httpx.AsyncClient
) -> None:
    for _ in range(30):
        await http.get("/checkpoint")
    await awaited(http, before="31", limit="30", count=30)
    for do, undo in (
        (
            "update audit set outcome = 'lost', line = replace(line, '\"ok\"', '\"lost\"') where number = 15",
            "update audit set outcome = 'ok', line = replace(line, '\"lost\"', '\"ok\"') where number = 15",
        ),
        (
            "create table aside as select * from audit where number = 15; "
            "delete from audit where number = 15",
            "insert into audit select * from aside; drop table aside",
        ),
        (
            "insert into audit select -1, at, tenant, actor, action, outcome, line, key, hash from audit "
            "where number = 15",
            "delete from audit where number = -1",
        ),
    ):
        assert all(stretch["ok"] for stretch in await verified(http, 10))
        await asyncio.to_thread(audited.sql, do)
        try:
            found = await verified(http, 10)
            (bad,) = [stretch for stretch in found if not stretch["ok"]]
            (fault,) = bad["faults"]
            assert fault["number"] in (15, -1) and fault["what"]
            told = await asyncio.to_thread(_refused_by_the_command, audited)
            assert told == [fault]
        finally:
            await asyncio.to_thread(audited.sql, undo)
    shown = await awaited(http, 3, outcome="not_intact")
    assert all(told["details"]["faults"] == 1 and told["action"] == "audit.verify" for told in shown)


def _refused_by_the_command(platform: Platform) -> list[dict[str, Any]]:
    done = subprocess.run(
        platform.command("audit", "verify", "--json"), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done
    return list(json.loads(done.stdout)["parts"][0]["problems"])


async def test_one_at_a_time_is_verified(audited: Platform, http: httpx.AsyncClient) -> None:
    waiting = (
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%from audit%' "
        "and query like '%where number > $1%' and datname = current_database()"
    )
    async with postgres_stand(audited) as stand:
        await stand.intruder.do("begin")
        await stand.intruder.do("lock table audit in access exclusive mode")
        first = asyncio.create_task(http.get("/verify"))
        give_up = time.monotonic() + 20
        while (await asyncio.to_thread(audited.sql, waiting)).strip() != "1":
            assert time.monotonic() < give_up, "the first one waits for the table"
            await asyncio.sleep(0.05)
        second = await http.get("/verify")
        await stand.intruder.do("rollback")
    assert second.status_code == 429 and second.json()["code"] == "audit_verifying"
    assert int(second.headers["Retry-After"]) > 0
    # On a machine that stood still for long it says that the database is away; then it is over as well.
    assert (await first).status_code in {200, 503}
    assert (await http.get("/verify")).status_code == 200


@pytest.mark.parametrize(
    "asked",
    ["limit=9", "limit=100001", "limit=x", "after=", "after=composer-audit-1:7:abc", "after=7", "more=1"],
)
async def test_what_makes_no_sense_is_refused(http: httpx.AsyncClient, asked: str) -> None:
    answer = await http.get(f"/verify?{asked}")
    assert answer.status_code == 422 and answer.json()["problems"], answer.text


async def test_nobody_else_may_verify(audited: Platform, http: httpx.AsyncClient) -> None:
    for subject, scopes, status in (
        ("operator", "jobs:operate audit:read", 403),
        ("auditor", "jobs:read", 403),
        ("nobody", "audit:read", 403),
    ):
        token = audited.issuer.token("school", scopes, sub=subject)
        answer = await http.get("/verify", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, (subject, answer.text)
    assert (await http.get("/verify", headers={"Authorization": ""})).status_code == 401
