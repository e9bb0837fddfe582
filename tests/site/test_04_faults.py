"""An application host loses its web process, then a worker dies in the middle of its job: nobody notices."""

from __future__ import annotations

import asyncio
import time
import uuid

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult
from site_lab import Site, lesson, said

CALLS = 200
AT_ONCE = 8
# Composer takes its time, as the real one does, so that the faults meet calls under way.
COMPOSER_SECONDS = 1.0
# When the faults strike, in calls that have been answered.
STOP_AT, KILL_AT = 40, 100


async def storm(site: Site, bearer: str, mark: str, answers: Answers) -> None:
    """Make all the calls, some at a time, each once."""
    waiting = iter(range(CALLS))

    async def caller() -> None:
        async with site.client(bearer) as client:
            for number in waiting:
                arguments = {"lesson": lesson(f"{mark} {number}"), "idempotency_key": f"{mark}-{number}"}
                try:
                    result = await client.call_tool("create_composition", arguments, read_timeout_seconds=150)
                    answers.add(f"call {number}: {said(result)}" if result.is_error else "")
                except (OSError, MCPError, httpx2.HTTPError, TimeoutError) as error:
                    answers.add(f"call {number}: {type(error).__name__}: {error}")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(caller())


class Answers:
    """What came back so far, and whoever waits for a certain number of answers."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.count = 0
        self._reached = {STOP_AT: asyncio.Event(), KILL_AT: asyncio.Event()}

    def add(self, failure: str) -> None:
        """One more call was answered; an empty failure is a success."""
        self.count += 1
        if failure:
            self.failures.append(failure)
        if self.count in self._reached:
            self._reached[self.count].set()

    async def reach(self, count: int) -> None:
        """Wait until so many calls have been answered."""
        await self._reached[count].wait()


async def faults(site: Site, mark: str, answers: Answers) -> dict[str, object]:
    """Stop a web process, later kill a worker that has a job, and start the web process again."""
    app1 = site.host("app1")
    await answers.reach(STOP_AT)
    await asyncio.to_thread(app1.ask, "systemctl stop composer-web@blue", limit=150)
    stopped_at = answers.count
    await answers.reach(KILL_AT)
    killed = await asyncio.to_thread(site.kill_a_worker, mark)
    killed_at = answers.count
    await asyncio.to_thread(app1.ask, "systemctl start composer-web@blue", limit=120)
    return {"stopped by answer": stopped_at, "killed": killed, "killed at answer": killed_at}


def test_no_call_is_lost_and_no_composition_doubled(site, bearer, record_property):
    mark = f"storm-{uuid.uuid4().hex[:8]}"
    start = time.monotonic()

    async def scene() -> tuple[list[str], dict[str, object]]:
        answers = Answers()
        struck = asyncio.create_task(faults(site, mark, answers))
        await storm(site, bearer, mark, answers)
        return answers.failures, await struck

    with site.composer_fault(route="create", action="none", latency=COMPOSER_SECONDS):
        failures, struck = asyncio.run(scene())
    seconds = time.monotonic() - start
    journals = [site.host(name).journal("composer-*") for name in ("app1", "app2")]
    assert not failures, "\n".join([*failures, *journals])
    counts = site.compositions(mark)
    assert {title: count for title, count in counts.items() if count != 1} == {}
    assert len(counts) == CALLS
    assert struck["killed at answer"] < CALLS, struck
    taken_over = int(
        site.jobs(f"select count(*) from job where idempotency_key like '{mark}%' and epoch > 1")
    )
    assert taken_over >= 1, f"the killed worker had no job: {struck}"
    record_property(
        "summary",
        f"{CALLS} calls in {seconds:.0f} s, web process stopped and worker killed meanwhile ({struck}):"
        f" 0 failed, 0 doubled, {taken_over} jobs taken over",
    )


@pytest.mark.parametrize("moment", ["before saving", "after saving"])
def test_a_worker_killed_in_the_middle_of_its_job_costs_nothing(site, bearer, moment):
    """Composer is slow; the worker dies while it waits for the answer to its upload.

    After saving is the hardest moment: the composition exists, and nobody on our side knows it yet.
    """
    title, key = f"killed {moment} {uuid.uuid4().hex[:8]}", uuid.uuid4().hex

    async def scene() -> CallToolResult:
        async with site.client(bearer) as client:
            arguments = {"lesson": lesson(title), "idempotency_key": key}
            call = asyncio.create_task(
                client.call_tool("create_composition", arguments, read_timeout_seconds=150)
            )
            await asyncio.to_thread(site.until_composer_holds, "create")
            await asyncio.to_thread(site.kill_a_worker, key)
            return await call

    fault = {"route": "create", "action": "none", "latency": 6.0, "times": 1}
    with site.composer_fault(**fault, after_saving=moment == "after saving"):
        result = asyncio.run(scene())
    assert not result.is_error, said(result)
    assert sum(site.compositions(title).values()) == 1
    assert int(site.jobs(f"select epoch from job where idempotency_key = '{key}'")) > 1
