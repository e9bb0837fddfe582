"""What a dead process said of its state is not shown any more; what it counted is, and takes no room."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from composer_mcp.observability import figures
from composer_mcp.observability.figures import forget_dead, merge_dead, unchanged

#: Counts once, and is killed at once.
COUNTING = """
import os, signal
from prometheus_client import Counter, Gauge, Histogram
Counter("made", "x", ["kind"]).labels("a").inc(3)
histogram = Histogram("lasted", "x", buckets=(1, 5))
for seconds in (0.5, 3, 9):
    histogram.observe(seconds)
Gauge("open", "x", multiprocess_mode="livesum").set(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def counting(folder: Path, times: int) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    for each in [subprocess.Popen([sys.executable, "-c", COUNTING], env=environment) for _ in range(times)]:
        each.wait(60)


def shown(folder: Path) -> dict[str, float]:
    """The figures as the page shows them."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))
    page = generate_latest(registry).decode()
    return {
        name: float(value) for name, value in re.findall(r"^(\w+(?:{[^}]*})?) (\S+)$", page, re.MULTILINE)
    }


def test_only_the_state_of_the_dead_is_forgotten(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, alive = ended.pid, os.getpid()
    stay = [
        f"gauge_livesum_{alive}.db",
        "gauge_livesum_1.db",
        f"counter_{dead}.db",
        f"histogram_{dead}.db",
        "gauge_live_x.db",
    ]
    for name in (*stay, f"gauge_livesum_{dead}.db", f"gauge_liveall_{dead}.db"):
        (tmp_path / name).touch()
    forget_dead(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)


def test_however_often_a_process_dies_its_figures_stay_right_and_small(tmp_path: Path) -> None:
    for _ in range(3):
        counting(tmp_path, 5)
        forget_dead(tmp_path)
        before = shown(tmp_path)
        merge_dead(tmp_path)
        assert shown(tmp_path) == before
        # Those of the newest few may wait until there are more.
        assert len(list(tmp_path.glob("*.db"))) < 2 + figures.MERGE_FROM
    assert before['made_total{kind="a"}'] == 45 and before["lasted_count"] == 45
    assert (before['lasted_bucket{le="1.0"}'], before['lasted_bucket{le="5.0"}']) == (15, 30)
    assert before["lasted_sum"] == 15 * 12.5 and "open" not in before
    assert not list(tmp_path.glob("*.merging")) and not list(tmp_path.glob("*.new"))


def test_a_merge_that_was_interrupted_is_finished_and_a_broken_file_holds_up_nothing(tmp_path: Path) -> None:
    counting(tmp_path, 2)
    before = shown(tmp_path)
    for path in tmp_path.glob("counter_*.db"):
        path.rename(path.with_suffix(".merging"))
    (tmp_path / "counter_999999999.merging").write_bytes(b"")
    (tmp_path / "histogram_999999999.merging").write_bytes(b"\xff" * 100)
    merge_dead(tmp_path)
    forget_dead(tmp_path)
    assert shown(tmp_path) == {name: value for name, value in before.items() if name != "open"}


def test_a_frozen_process_that_merges_holds_up_no_look_for_long(tmp_path: Path) -> None:
    with (tmp_path / figures.LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        with unchanged(tmp_path):
            pass
        assert figures.WAIT_SECONDS <= time.monotonic() - began < figures.WAIT_SECONDS + 5
        counting(tmp_path, 8)
        merge_dead(tmp_path)
        assert len(list(tmp_path.glob("counter_*.db"))) == 8


@pytest.mark.parametrize("alive", [True, False])
def test_the_files_of_the_living_are_left_alone(tmp_path: Path, alive: bool) -> None:
    counting(tmp_path, 8)
    (mine,) = list(tmp_path.glob("counter_*.db"))[:1]
    if alive:
        mine.rename(tmp_path / f"counter_{os.getpid()}.db")
    merge_dead(tmp_path)
    assert (tmp_path / f"counter_{os.getpid()}.db").exists() is alive
    assert shown(tmp_path)['made_total{kind="a"}'] == 24
