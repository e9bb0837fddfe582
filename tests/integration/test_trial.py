"""The action plugin `trial` in a real play; the host is this machine, its programs speak the protocol.

That a real host takes a ruleset back which cuts everybody off is shown by the scenario `firewall`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - euconquisto.composer.trial: {program: "{{ folder }}/good", what: the gate, seconds: 60}
      register: good
    - euconquisto.composer.trial: {program: "{{ folder }}/same", what: the gate, seconds: 60}
      register: same
    - block:
        - euconquisto.composer.trial: {program: "{{ folder }}/wrong", what: the gate, seconds: 60}
      rescue:
        - ansible.builtin.set_fact: {wrong: "{{ ansible_failed_result }}"}
    - block:
        - euconquisto.composer.trial: {program: "{{ folder }}/late", what: the gate, seconds: 10}
      rescue:
        - ansible.builtin.set_fact: {late: "{{ ansible_failed_result }}"}
    - ansible.builtin.copy:
        dest: "{{ folder }}/outcomes.json"
        content: "{{ {'good': good, 'same': same, 'wrong': wrong, 'late': late} | to_json }}"
"""
# What each program does when it is told to try, and to confirm.
PROGRAMS = {
    "good": ("echo on trial", "exit 0"),
    "same": ("echo unchanged", "exit 1"),
    "wrong": ("echo it has no hinges >&2; exit 1", "exit 1"),
    "late": ("echo on trial", "echo too late >&2; exit 1"),
}


def play(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    for name, (tried, confirmed) in PROGRAMS.items():
        program = folder / name
        program.write_text(
            f'#!/bin/sh\necho "$*" >> $0.calls\ncase $1 in try) {tried};; confirm) {confirmed};; '
            "status) echo The old gate is in force.;; esac\n"
        )
        program.chmod(0o755)
    (folder / "play.yml").write_text(PLAY)
    return subprocess.run(
        [
            *(Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,"),
            *("-e", f"folder={folder}", "-e", f"ansible_python_interpreter={sys.executable}"),
            *(folder / "play.yml", *options),
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one play has tried all four."""
    made = tmp_path_factory.mktemp("trial")
    done = play(made)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def outcome(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "outcomes.json").read_text())[name]
    return found


def calls(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.calls").read_text().splitlines()


def test_a_change_is_tried_and_confirmed(folder: Path) -> None:
    assert outcome(folder, "good")["changed"] and outcome(folder, "good")["state"] == "confirmed"
    assert calls(folder, "good") == ["try 60", "confirm"]


def test_what_is_in_force_already_is_no_change(folder: Path) -> None:
    assert not outcome(folder, "same")["changed"] and outcome(folder, "same")["state"] == "unchanged"
    assert calls(folder, "same") == ["try 60"]


def test_what_the_program_refuses_to_try_is_told(folder: Path) -> None:
    assert outcome(folder, "wrong")["msg"] == "the gate: not tried. it has no hinges"
    assert calls(folder, "wrong") == ["try 60"]


def test_what_cannot_be_confirmed_fails_with_what_the_host_did(folder: Path) -> None:
    late = outcome(folder, "late")
    assert (late["failed"], late["state"]) == (True, "restored")
    reason = "the change was not confirmed (the host refused: too late)"
    assert late["msg"] == f"the gate: {reason}. The host: The old gate is in force."
    assert calls(folder, "late") == ["try 10", "confirm", "status"]


def test_a_dry_run_tries_nothing(tmp_path: Path) -> None:
    done = play(tmp_path, "--check")
    assert "nothing is tried in check mode" in done.stdout + done.stderr or "skipping" in done.stdout
    assert not list(tmp_path.glob("*.calls"))
