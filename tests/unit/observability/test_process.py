"""What a dead process said of its state is not shown any more; what it counted is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from composer_mcp.observability.process import forget_dead


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
