"""The trail when processes are killed and the database goes away: nothing promised is missing or twice."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from composer_mcp.audit import trail as writing
from composer_mcp.audit.chain import Keys
from composer_mcp.audit.store import Filter
from composer_mcp.errors import ComposerError
from composer_mcp.observability import logs

from .audit_stand import entry, postgres_stand
from .support.installation import Platform
from .support.processes import Process

pytestmark = pytest.mark.anyio

PROGRAM = str(Path(__file__).with_name("support") / "audit_writer.py")


def writer(platform: Platform, name: str) -> Process:
    arguments = [str(platform.config), str(platform.credentials), name]
    return platform.start([sys.executable, "-P", PROGRAM, *arguments], "durable")


def promised(process: Process) -> int:
    return int(re.findall(r"durable (\d+)\n", process.output)[-1])


def recorded(platform: Platform, name: str) -> list[int]:
    query = f"select line::json ->> 'target' from audit where actor = '{name}' order by number"
    return [int(text) for text in platform.sql(query).splitlines()]


def verified(platform: Platform) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(platform.run("audit", "verify", "--json"))
    return told


async def test_killed_processes_leave_one_good_chain_with_all_that_was_promised(platform: Platform) -> None:
    names = [f"writer-{number}" for number in range(4)]
    writers = [await asyncio.to_thread(writer, platform, name) for name in names]
    for round_ in range(3):
        # Somewhere in the middle of whatever they do; the others go on at once.
        await asyncio.sleep(0.3)
        writers[round_].signal(signal.SIGKILL)
    position = len(writers[3].output)
    await asyncio.to_thread(writers[3].wait_for, "durable", 20, position)
    writers[3].signal(signal.SIGKILL)
    await asyncio.to_thread(platform.stop)
    found = await asyncio.to_thread(verified, platform)
    assert found["ok"], found
    total = 0
    for name, process in zip(names, writers, strict=True):
        numbers = await asyncio.to_thread(recorded, platform, name)
        assert numbers == list(range(len(numbers))), "each once, in its order"
        assert len(numbers) >= promised(process) > 0
        total += len(numbers)
    assert found["parts"][0]["entries"] == total


async def test_a_frozen_process_holds_nobody_up(platform: Platform) -> None:
    frozen, other = [await asyncio.to_thread(writer, platform, name) for name in ("frozen", "other")]
    for _ in range(5):
        await asyncio.sleep(0.1)
        frozen.signal(signal.SIGSTOP)
        await asyncio.to_thread(other.wait_for, "durable", 20, len(other.output))
        frozen.signal(signal.SIGCONT)
    await asyncio.to_thread(frozen.wait_for, "durable", 20, len(frozen.output))
    await asyncio.to_thread(platform.stop)
    assert (await asyncio.to_thread(verified, platform))["ok"]


async def test_what_waits_while_the_database_is_away_is_written_once_it_is_back(platform: Platform) -> None:
    keys = Keys([platform.secrets.read("audit-key").get_secret_value()])
    async with postgres_stand(platform) as stand, stand.trail(keys) as trail:
        await trail.record(entry(0))
        await asyncio.to_thread(platform.postgres.stop)
        try:
            with pytest.raises(ComposerError) as away:
                await trail.record(entry(1))
            assert away.value.code.code == "store_unavailable"
            for number in range(2, writing.WAITING_LIMIT + 1):
                trail.admit()
                trail.note(entry(number))
            with pytest.raises(ComposerError) as full:
                trail.admit()
            assert full.value.code.code == "audit_unavailable"
        finally:
            await asyncio.to_thread(platform.postgres.start)
        await trail.record(entry(writing.WAITING_LIMIT + 1))
        trail.admit()
    async with postgres_stand(platform) as stand:
        rows = await stand.store.find(Filter(), 2 * writing.WAITING_LIMIT)
        told = [json.loads(row.line)["target"] for row in reversed(rows)]
        assert told == [f"composition-{number}" for number in range(writing.WAITING_LIMIT + 2)]
        assert (await stand.verify(keys)).ok


async def test_an_answer_that_is_lost_does_not_write_twice(platform: Platform) -> None:
    """The connection breaks when the entries are committed, and before their process hears of it."""
    keys = Keys([platform.secrets.read("audit-key").get_secret_value()])
    async with postgres_stand(platform) as stand:
        append, lost = stand.store.append, []

        async def unlucky(*arguments: Any) -> bool:
            done = await append(*arguments)
            if len(lost) < 2:
                lost.append(done)
                raise ConnectionResetError("lost on the way")
            return done

        stand.store.append = unlucky
        async with stand.trail(keys) as trail:
            await asyncio.gather(*(trail.record(entry(number)) for number in range(5)))
        assert lost[0] is True
        rows = await stand.store.find(Filter(), 100)
        assert [json.loads(row.line)["target"] for row in reversed(rows)] == [
            f"composition-{number}" for number in range(5)
        ]
        assert (await stand.verify(keys)).ok


async def test_what_cannot_be_written_at_the_end_is_in_the_log(
    platform: Platform, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "CLOSE_SECONDS", 0.5)
    logs.configure(platform.settings.log)
    async with postgres_stand(platform) as stand:
        await asyncio.to_thread(platform.postgres.stop)
        try:
            async with stand.trail() as trail:
                trail.note(entry(7))
        finally:
            await asyncio.to_thread(platform.postgres.start)
    told = capsys.readouterr()
    assert "audit.unwritten" in told.out + told.err and "composition-7" in told.out + told.err
