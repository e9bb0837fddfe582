"""One number says how hard a host works, another what share of the calls it should get; asking is cheap."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from composer_mcp.observability import metrics, pressure
from composer_mcp.observability.metrics import QueueNow
from composer_mcp.observability.pressure import Bounds, Pressure

pytestmark = pytest.mark.anyio

CALM = QueueNow({"queued": 0, "running": 1, "input_required": 0}, 0.0, 0.002)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Store:
    """Answers what it is told to, and counts how often it was asked."""

    def __init__(self, now: QueueNow | None) -> None:
        self.now = now
        self.asked = 0

    async def queue(self) -> QueueNow | None:
        self.asked += 1
        await asyncio.sleep(0)
        return self.now


def machine(folder: Path, *, load: str = "0.00", cpu: str | None = "0.00", memory: str = "0.00") -> Path:
    (folder / "loadavg").write_text(f"{load} 0.00 0.00 1/100 1234\n")
    (folder / "pressure").mkdir(exist_ok=True)
    for what, percent in (("cpu", cpu), ("memory", memory)):
        if percent is not None:
            rest = "avg60=99.00 avg300=99.00 total=1"
            text = f"some avg10={percent} {rest}\nfull avg10=99.00 {rest}\n"
            (folder / "pressure" / what).write_text(text)
    return folder


def measured(store: Store, proc: Path) -> Pressure:
    return Pressure(store.queue, Bounds(jobs=1000, deadline_seconds=300), proc)


async def test_an_idle_host_is_under_no_pressure_and_gets_its_whole_share(tmp_path: Path) -> None:
    now = await measured(Store(CALM), machine(tmp_path)).now()
    assert (now["pressure"], now["weight"], now["why"]) == (0, 100, None)
    assert now["queue"] == {
        "queued": 0, "running": 1, "input_required": 0, "limit": 1000, "oldest_seconds": 0.0
    }  # fmt: skip
    assert now["database_seconds"] == 0.002


async def test_a_host_that_is_out_of_processor_or_memory_gets_less(tmp_path: Path) -> None:
    for worse in ({"load": f"{os.cpu_count() * 64}.0"}, {"cpu": "90.10"}, {"memory": "35.00"}):
        now = await measured(Store(CALM), machine(tmp_path, **worse)).now()
        assert (now["pressure"], now["weight"]) == (100, 1), (worse, now)
        machine(tmp_path)
    half = await measured(Store(CALM), machine(tmp_path, cpu="45.00")).now()
    assert (half["pressure"], half["weight"], half["why"]) == (50, 50, "cpu_stalled_percent")


async def test_a_full_queue_is_pressure_and_no_reason_to_go_to_another_host(tmp_path: Path) -> None:
    full = QueueNow({"queued": 1000, "running": 4, "input_required": 0}, 12.0, 0.002)
    now = await measured(Store(full), machine(tmp_path)).now()
    assert (now["pressure"], now["weight"], now["why"]) == (100, 100, "queue_filled")
    old = QueueNow({"queued": 1, "running": 4, "input_required": 0}, 150.0, 0.002)
    now = await measured(Store(old), machine(tmp_path)).now()
    assert (now["pressure"], now["why"]) == (100, "oldest_wait_of_deadline")


async def test_a_database_that_does_not_answer_is_full_pressure(tmp_path: Path) -> None:
    now = await measured(Store(None), machine(tmp_path)).now()
    assert (now["pressure"], now["queue"], now["why"]) == (100, None, "database_seconds")


async def test_a_kernel_without_stall_figures_is_measured_by_the_rest(tmp_path: Path) -> None:
    now = await measured(Store(CALM), tmp_path).now()
    assert now["cpu_stalled_percent"] is None and now["pressure"] == 0


async def test_however_often_it_is_asked_the_store_is_asked_once_a_second(tmp_path: Path) -> None:
    store = Store(CALM)
    under = measured(store, machine(tmp_path))
    began = time.monotonic()
    for _ in range(20):
        await asyncio.gather(*(under.now() for _ in range(50)))
    assert 1 <= store.asked <= 1 + (time.monotonic() - began) / pressure.CACHE_SECONDS


def block(seconds: float) -> None:
    """Do what no code on the event loop may do."""
    time.sleep(seconds)


async def test_a_blocked_event_loop_is_noticed(tmp_path: Path) -> None:
    under = measured(Store(CALM), machine(tmp_path))
    async with under.watching():
        await asyncio.sleep(0.05)
        block(0.8)
        await asyncio.sleep(pressure.LAG_EVERY_SECONDS)
        now = await under.now()
    assert now["loop_lag_seconds"] > 0.4 and now["weight"] < 30
    assert metrics.LOOP_LAG_SECONDS.collect()[0].samples[0].value > 0.4
