"""Who looks on is told what takes long; a script, a log and a pipe are not."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from composer_mcp.cli.common import progress

PROGRAM = str(Path(sys.executable).with_name("composer-mcp"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(ValueError, match="mistake"), progress("looking"):
        assert terminal.getvalue() == "looking …"
        raise ValueError("mistake")
    assert terminal.getvalue() == "looking …\r\x1b[K", "what was told is taken away, also after an error"


def test_nobody_else_is_told_anything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("looking"):
        pass
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_progress_is_never_mixed_with_what_is_printed(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'state_directory = "{tmp_path}/state"\n[composer]\nproject_uid = "p"\nconnector_uid = "c"\n'
    )
    master, slave = pty.openpty()
    done = subprocess.run(
        [PROGRAM, "config", "set", "log.level", "debug", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    os.close(slave)
    seen = os.read(master, 10_000).decode()
    os.close(master)
    assert "changing the settings …" in seen
    assert done.stdout.startswith("log.level = debug\n") and "changing" not in done.stdout
