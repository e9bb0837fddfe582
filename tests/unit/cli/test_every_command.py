"""What every command promises, whoever adds it: help with an example, JSON, clear refusals, a quick start."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from composer_mcp.cli import cli
from composer_mcp.cli.common import EXIT_CODES

ROOT = Path(__file__).resolve().parents[3]
#: These run until they are told to stop, and print nothing on standard output.
SILENT = {"serve", "worker", "stdio"}
#: Their one output is a JSON document, whatever is asked for.
ALWAYS_JSON = {"openapi"}


def walk(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from walk(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(walk(typer.main.get_command(cli)))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_it_does_and_shows_an_example(name: str) -> None:
    for option in ("--help", "-h"):
        shown = CliRunner().invoke(cli, [*name.split(), option], terminal_width=200)
        assert shown.exit_code == 0 and f"Usage: composer-mcp {name}" in shown.output
    assert COMMANDS[name].help, "it does not say what it does"
    assert f"composer-mcp {name}" in (COMMANDS[name].epilog or ""), "it shows no example"
    unexplained = [
        parameter.name for parameter in COMMANDS[name].params if not getattr(parameter, "help", None)
    ]
    assert not unexplained, f"nothing is said of {unexplained}"


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_is_one_that_it_takes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for example in re.findall(r"composer-mcp ([^;|<>(]+)", COMMANDS[name].epilog):
        words = shlex.split(example.rstrip(". "))
        assert words[: len(name.split())] == name.split()
        for file in (word for word in words if re.fullmatch(r"\w+\.\w+", word)):
            Path(file).touch()
        COMMANDS[name].make_context(name, words[len(name.split()) :])


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - SILENT - ALWAYS_JSON))
def test_what_prints_something_prints_json_if_asked(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_usage_ends_with_code_2_and_a_sentence(name: str) -> None:
    refused = CliRunner().invoke(cli, [*name.split(), "--no-such-thing"])
    assert refused.exit_code == 2 and "No such option: --no-such-thing" in refused.output
    takes_many = any(parameter.nargs == -1 for parameter in COMMANDS[name].params)
    if not takes_many:
        refused = CliRunner().invoke(cli, [*name.split(), *"abcdefgh"])
        assert refused.exit_code == 2 and "Error: " in refused.output


@pytest.mark.parametrize("words", [["frobnicate"], ["--frobnicate"]])
def test_an_unknown_command_is_refused_with_a_sentence(words: list[str]) -> None:
    refused = CliRunner().invoke(cli, words)
    assert refused.exit_code == 2 and "No such" in refused.output


def test_the_commands_are_shown_without_loading_what_only_some_need() -> None:
    heavy = {"pydantic", "structlog", "asyncpg", "httpx", "mcp", "starlette", "playwright", "pgqueuer", "jwt"}
    program = "import composer_mcp.cli, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert not heavy & set(loaded)


DOCUMENTED = re.findall(r"`C ([^`]+)`", (ROOT / "docs/operations.md").read_text())


@pytest.mark.parametrize("line", DOCUMENTED)
def test_a_command_of_the_manual_is_one_that_there_is(line: str) -> None:
    words = shlex.split(line.replace("ID", "0b8ee7ae-6d6b-4f0a-9c3e-2f4c9f1f7a55"))
    name = next(name for name in COMMANDS if words[: len(name.split())] == name.split())
    COMMANDS[name].make_context(name, words[len(name.split()) :])


def test_the_exit_codes_are_written_down() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    for code, meaning in EXIT_CODES.items():
        assert f"| {code} | {meaning} |" in page


def complete(words: str, shell: str = "bash") -> list[str]:
    """Ask the program for completions, as the shell does."""
    environment = {"_COMPOSER_MCP_COMPLETE": f"complete_{shell}", "COMP_WORDS": words}
    environment |= {"COMP_CWORD": str(len(words.split(" ")) - 1), "PATH": "/usr/bin:/bin", "HOME": "/"}
    environment |= {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    program = Path(sys.executable).with_name("composer-mcp")
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_completes_commands_and_what_they_take(shell: str) -> None:
    assert "worker" in " ".join(complete("composer-mcp wor", shell))
    shown = " ".join(complete("composer-mcp drain --slot gr", shell))
    assert "green" in shown and "blue" not in shown
    assert "jobs:read" in " ".join(complete("composer-mcp token --scope ", shell)).replace("\\", "")
    assert "queue.total_limit" in " ".join(complete("composer-mcp config set queue.t", shell))
    levels = " ".join(complete("composer-mcp config set log.level ", shell))
    assert "debug" in levels and "queue" not in levels
    assert "intake.mode" in " ".join(complete("composer-mcp config set log.level debug int", shell))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_script(shell: str) -> None:
    program = Path(sys.executable).with_name("composer-mcp")
    script = subprocess.run(
        [program],
        env={"_COMPOSER_MCP_COMPLETE": f"source_{shell}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "composer-mcp" in script and f"complete_{shell}" in script
