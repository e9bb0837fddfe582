"""An application host loses its web process, then a worker dies in the middle of its job: nobody notices."""

import asyncio
import time
import uuid

import pytest
from mcp.types import CallToolResult
from site_lab import lesson, said

CALLS = 200
AT_ONCE = 8
# Times of the faults, in calls that have been answered.
STOP_AT, KILL_AT, START_AT = 40, 100, 150


async def storm(site, bearer: str, mark: str, events: dict[int, object]) -> tuple[list[str], float]:
    """Make the calls, and at each count of answers its event; what failed, and the seconds it took."""
    failures: list[str] = []
    waiting = iter(range(CALLS))
    answered = 0
    faults: list[asyncio.Task[None]] = []

    async def caller() -> None:
        nonlocal answered
        async with site.client(bearer) as client:
            for number in waiting:
                title = f"{mark} {number}"
                try:
                    result = await client.call_tool(
                        "create_composition",
                        {"lesson": lesson(title), "idempotency_key": f"{mark}-{number}"},
                        read_timeout_seconds=150,
                    )
                    if result.is_error:
                        failures.append(f"call {number}: {said(result)}")
                except Exception as error:
                    failures.append(f"call {number}: {type(error).__name__}: {error}")
                answered += 1
                if answered in events:
                    faults.append(asyncio.create_task(asyncio.to_thread(events[answered])))

    start = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(caller())
    await asyncio.gather(*faults)
    return failures, time.monotonic() - start


def test_no_call_is_lost_and_no_composition_doubled(site, bearer, record_property):
    mark = f"storm-{uuid.uuid4().hex[:8]}"
    app1, app2 = site.host("app1"), site.host("app2")
    killed: list[str] = []

    def stop_web() -> None:
        app1.ask("systemctl stop composer-web@blue", limit=120)

    def start_web() -> None:
        app1.ask("systemctl start composer-web@blue", limit=120)

    def kill_worker() -> None:
        # whichever worker holds a running job at this moment, found by its host in the database
        killed.append(app2.ask("systemctl show --value -p MainPID composer-worker@1"))
        app2.ask("systemctl kill --signal=KILL --kill-whom=main composer-worker@1")

    failures, seconds = asyncio.run(
        storm(site, bearer, mark, {STOP_AT: stop_web, KILL_AT: kill_worker, START_AT: start_web})
    )
    journal = "".join(host.journal("composer-*") for host in (app1, app2))
    assert not failures, "\n".join(failures) + "\n" + journal
    counts = site.compositions(mark)
    doubled = {title: count for title, count in counts.items() if count != 1}
    assert not doubled, doubled
    assert len(counts) == CALLS
    taken_over = int(
        site.jobs(f"select count(*) from job where idempotency_key like '{mark}%' and epoch > 1")
    )
    assert killed and killed[0] != app2.ask("systemctl show --value -p MainPID composer-worker@1")
    record_property(
        "summary",
        f"{CALLS} calls in {seconds:.0f} s with a web process stopped and a worker killed: "
        f"0 failed, 0 doubled, {taken_over} taken over by another worker",
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
            await asyncio.to_thread(site.kill_worker_of, key)
            return await call

    fault = {"route": "create", "action": "none", "latency": 6.0, "times": 1}
    with site.composer_fault(**fault, after_saving=moment == "after saving"):
        result = asyncio.run(scene())
    assert not result.is_error, said(result)
    assert sum(site.compositions(title).values()) == 1
    assert int(site.jobs(f"select epoch from job where idempotency_key = '{key}'")) > 1
