"""Settings on the command line: shown with where they come from, changed, taken back, and audited."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from composer_mcp import cli


class Shell:
    """Runs commands against a server that runs alone, as a user would."""

    def __init__(
        self, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.config = config
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *words: str) -> tuple[int, str, str]:
        """Return the exit code, and what was said on standard output and standard error."""
        self._monkeypatch.setattr(sys, "argv", ["composer-mcp", *words, "--config", str(self.config)])
        with pytest.raises(SystemExit) as end:
            cli.main()
            sys.exit(0)
        said = self._capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    def json(self, *words: str) -> Any:
        code, out, err = self.run(*words, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "config.toml"
    path.write_text(
        f'state_directory = "{tmp_path}/state"\n[composer]\nproject_uid = "p"\nconnector_uid = "c"\n'
        "[queue]\ntotal_limit = 500\n"
    )
    return Shell(path, monkeypatch, capsys)


def test_what_is_set_is_shown_until_it_is_taken_back(shell: Shell) -> None:
    changed = shell.json("config", "set", "queue.total_limit", "77", "intake.reason", "Until 18:00.")
    assert changed == {"version": 1, "settings": {"queue.total_limit": 77, "intake.reason": "Until 18:00."}}
    assert shell.run("config", "get", "queue.total_limit")[1] == "77\n"
    shown = shell.json("config", "get", "queue.total_limit")
    assert shown["source"] == "runtime" and shown["changed_by"].startswith("cli:")
    listed = shell.run("config", "list", "queue", "--changeable")[1]
    assert "queue.total_limit = 77\n    runtime (cli:" in listed and "intake" not in listed
    assert "default 1000; changes at run time" in listed
    assert shell.json("config", "unset", "queue.total_limit")["version"] == 2
    assert shell.json("config", "get", "queue.total_limit")["source"] == "file"
    assert shell.json("config", "list")["version"] == 2


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["set", "queue.total_limit"], 2, "queue.total_limit has no value"),
        (["set", "queue.total_limit", "0"], 1, "at least 1, at most 1000000; '0' is not"),
        (["set", "queue.total", "1"], 1, "Use one of: queue.total_limit"),
        (["set", "web.workers", "4"], 1, "Change it in the configuration file"),
        (["set", "log.level", "debug", "--if-version", "7"], 1, "since version 7"),
        (["get", "queue.limit"], 1, "queue.total_limit"),
        (["list", "kew"], 2, "there is no section kew. Known:"),
    ],
)
def test_what_is_refused_is_explained(shell: Shell, words: list[str], code: int, told: str) -> None:
    ended, out, err = shell.run("config", *words)
    assert (ended, out) == (code, "") and told in err and "Traceback" not in err


def test_every_change_is_in_the_audit_trail_and_so_is_one_that_was_refused(shell: Shell) -> None:
    shell.run("config", "set", "log.level", "debug")
    shell.run("config", "set", "log.level", "loud")
    shell.run("config", "unset", "log.level")
    entries = shell.json("audit", "list")["entries"]
    told = [(entry["action"], entry["target"], entry["outcome"]) for entry in entries]
    assert told[::-1] == [
        ("config.set", "log.level", "ok"),
        ("config.set", "log.level", "setting_invalid"),
        ("config.unset", "log.level", "ok"),
    ]


def test_a_configuration_is_checked_without_reaching_anything(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMPOSER_MCP__QUEUE__TOTAL_LIMIT", "9")
    assert shell.json("config", "check") == {
        "ok": True,
        "file": str(shell.config),
        "alone": True,
        "environment": ["queue.total_limit"],
    }
    shell.config.write_text("[queue]\ntotal_limit = 0\n")
    monkeypatch.delenv("COMPOSER_MCP__QUEUE__TOTAL_LIMIT")
    code, _, err = shell.run("config", "check")
    assert code == 2 and "queue.total_limit" in err and "greater than or equal to 1" in err
    assert not (shell.config.parent / "state").exists(), "a check makes nothing"


def test_the_list_says_every_setting_and_no_secret(shell: Shell, tmp_path: Path) -> None:
    credentials = tmp_path / "state/credentials"
    credentials.mkdir(parents=True)
    (credentials / "composer-token").write_text("canary-of-the-test-0001")
    (tmp_path / "state").chmod(0o700)
    code, out, _ = shell.run("config", "list")
    assert code == 0 and "canary" not in out
    for name in ("worker.concurrency", "composer.project_uid", "issuers.0.issuer", "log.format"):
        assert f"{name} = " in out
