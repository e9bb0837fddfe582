"""What an operator does with the role, mistakes included, and what becomes of the hosts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

PLAYS = Path(__file__).resolve().parents[1] / "plays"
UNITS = ["composer-firewall", "composer-firewall-revert"]
# A play over ssh takes its time on a busy machine, and a mistake is taken back only when its time is over.
pytestmark = pytest.mark.timeout(480)
# What each refusal must tell the operator.
REFUSALS = {
    "cut_off": "from where Ansible is connected to this host: the rules would cut it off",
    "ssh_port": "firewall_ssh_port is 2222, but the ssh server .* listens on port 22",
    "duration": "firewall_confirm_seconds.*soon.*int",
    "rule_cidr": r"tcp port 8006 \(inventory: a blunder\): '192.0.2.300' is no group",
    "contradiction": r"contradict each other: tcp port 8001 is open to some only",
    "blocked": "firewall_blocked holds .* of the host firewall-1",
}


def ruleset(host: Any) -> str:
    """What the kernel has, without counters and the addresses seen lately."""
    listed = host.run("nft -s -t list table inet composer")
    assert listed.succeeded, listed.stderr
    return str(listed.stdout)


@pytest.fixture(scope="module")
def refusals(play: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the role said on each host to each case."""
    folder = tmp_path_factory.mktemp("refusals")
    assert play(playbook=PLAYS / "refusals.yml", result=str(folder)).returncode == 0
    return folder


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_meant_is_refused_with_the_reason(host: Any, refusals: Path, case: str) -> None:
    said = json.loads((refusals / f"{host.backend.get_hostname()}.json").read_text())
    assert re.search(REFUSALS[case], said[case], re.DOTALL), said[case]


def test_what_was_refused_changed_nothing(host: Any, refusals: Path) -> None:
    assert refusals.is_dir()
    assert host.run("composer-firewall try 30").stdout.strip() == "unchanged"
    assert "a blunder" not in host.file("/etc/composer-firewall/candidate.nft").content_string


@pytest.mark.parametrize(
    "kept",
    ["", "ct state established accept"],
    ids=["cuts its own connection too", "lets nobody in again"],
)
def test_a_ruleset_that_cuts_the_controller_off_is_taken_back(
    hosts: Any, onlooker: Any, play: Any, kept: str
) -> None:
    before = [ruleset(host) for host in hosts]
    done = play(playbook=PLAYS / "mistake.yml", kept=kept)
    assert done.returncode != 0
    told = " ".join((done.stdout + done.stderr).split())
    for host in hosts:
        assert re.search(rf"fatal: \[{host.backend.get_hostname()}\]: FAILED", told)
    assert "the mistake: the change was not confirmed" in told
    assert "the confirmed one is in force since" in told
    assert [ruleset(host) for host in hosts] == before
    for host in hosts:
        assert not onlooker.can_connect(host, 22)
        assert host.run("composer-firewall try 30").stdout.strip() == "unchanged"


def test_a_dry_run_shows_the_rule_and_changes_nothing(hosts: Any, play: Any) -> None:
    before = [ruleset(host) for host in hosts]
    rule = {"port": 8004, "from": "neighbours", "reason": "shown"}
    done = play("--check", "--diff", firewall_extra_rules=[rule])
    assert done.returncode == 0
    shown = r'^\+\s*ip saddr .*tcp dport 8004 accept comment "inventory: shown"'
    assert len(re.findall(shown, done.stdout, re.MULTILINE)) == len(hosts)
    assert [ruleset(host) for host in hosts] == before


def test_the_role_undoes_itself_and_comes_back(hosts: Any, onlooker: Any, play: Any) -> None:
    assert play(firewall_state="absent").returncode == 0
    for host in hosts:
        assert onlooker.can_connect(host, 22)
        assert not host.run("find / -xdev -name '*composer*firewall*' -not -path '/proc/*'").stdout
        assert "inet composer" not in host.run("nft list tables").stdout
        assert "composer-firewall" not in host.run("systemctl list-units --all --no-legend").stdout
    again = play(firewall_state="absent")
    assert again.returncode == 0 and again.stdout.count("changed=0") == len(hosts)
    back = play()
    assert back.returncode == 0
    assert not any(onlooker.can_connect(host, 22) for host in hosts)
