"""The state directory belongs to one user and to one process at a time."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from composer_mcp.alone.directory import InUse, StateDirectory
from composer_mcp.settings import ConfigurationError

HOLDS = """
import sys
from pathlib import Path
from composer_mcp.alone.directory import StateDirectory
with StateDirectory(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder = StateDirectory(tmp_path / "a/b")
    with folder.lock():
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    folder.path.chmod(0o755)
    folder.prepare()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_a_second_process_is_told_who_has_it_and_what_to_do(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        for _ in range(2):
            with pytest.raises(InUse, match=f"process {holder.pid}.*composer-mcp serve"):
                StateDirectory(tmp_path).lock(patience_seconds=0.1).__enter__()
        holder.kill()
    with StateDirectory(tmp_path).lock():
        assert (tmp_path / "lock").read_text() == f"process {os.getpid()}\n"


def test_one_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/state cannot be made: Not a directory.*Name another"):
        StateDirectory(tmp_path / "file/state").prepare()


def test_what_a_killed_process_left_is_cleared_away_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    precious = tmp_path / "tmp" / "precious"
    precious.mkdir(parents=True)
    state = StateDirectory(tmp_path / "state")
    with state.lock():
        left = Path(tempfile.mkdtemp(prefix="composer-mcp-"))
        for note, remain in ((left, [precious]), (precious, [precious]), (tmp_path, [precious])):
            (state.path / "scratch").write_text(f"{note}\n")
            with state.scratch() as folder:
                assert sorted((tmp_path / "tmp").iterdir()) == sorted([folder, *remain])
                assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert not (state.path / "scratch").exists()
    assert list((tmp_path / "tmp").iterdir()) == [precious]
