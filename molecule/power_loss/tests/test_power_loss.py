"""A host that dies half-way, at whatever moment: the same play finishes it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import hosts as machines
from lab.machine import podman
from lab.molecule import Scenario

UNITS = ["composer-firewall", "prometheus-node-exporter", "ssh"]
# Plays over ssh take their time on a busy machine.
pytestmark = pytest.mark.timeout(1200)
SITE = Path(__file__).parents[1] / "converge.yml"
ROLE = "TASK [euconquisto.composer."
#: In the order in which a play comes to them; each play gets further than the one before.
MOMENTS = {
    "a package is being set up": "TASK [Have it set up]",
    "files are being written": f"{ROLE}hardening : Configure]",
    "the ssh server's settings are on trial": (SSH_TRIAL := f"{ROLE}hardening : Try the ssh settings"),
    "the firewall is on trial": (FIREWALL_TRIAL := f"{ROLE}firewall : Try the ruleset"),
    "the exporter is being configured": f"{ROLE}node_exporter : Configure]",
}
TRIALS = (SSH_TRIAL, FIREWALL_TRIAL)


def kill(hosts: list[Any]) -> None:
    """Take the power from all hosts at once."""
    podman("kill", *containers(hosts))


def start(hosts: list[Any]) -> None:
    podman("start", *containers(hosts))
    for container in containers(hosts):
        machines.wait_until_booted(container)


def containers(hosts: list[Any]) -> list[str]:
    scenario = Scenario()
    return [scenario.container(host.backend.get_hostname()) for host in hosts]


def play_until(inventory: str, mark: str, then: Callable[[str], None]) -> str:
    """Start the play, do something as soon as it comes to a task, and return what it said until its end."""
    command = ["ansible-playbook", "-i", inventory, str(SITE)]
    env = {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
    said = ""
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as play:
        assert play.stdout is not None
        for line in play.stdout:
            said += line
            if line.startswith(mark):
                break
        else:
            pytest.fail(f"the play ended before it came to {mark}:\n{said}")
        then(mark)
        said += play.communicate(timeout=240)[0]
    print(said[-4000:])
    assert play.returncode != 0, "the play did not notice"
    return said


def test_hosts_that_die_at_every_stage_are_finished_by_the_next_run(
    hosts: Any, play: Any, request: pytest.FixtureRequest
) -> None:
    inventory = request.config.getoption("ansible_inventory")
    for host in hosts:
        assert host.run("mkfifo /run/probe-waits").succeeded

    def die(mark: str) -> None:
        for host in hosts:
            if host.file("/run/probe-waits").exists:
                reached = "timeout 120 sh -c 'until [ -e /run/probe-reached ]; do sleep 0.1; done'"
                assert host.run(reached).succeeded
        kill(hosts)
        if mark in TRIALS:
            # Here the play waits for the host to tell what is in force.
            start(hosts)

    for moment, mark in MOMENTS.items():
        said = play_until(inventory, mark, die)
        if mark == MOMENTS["files are being written"]:
            set_up = said.partition("PLAY [Host layer]")[0]
            assert set_up.count("changed: [") == len(hosts), "setting the package up is not told"
        if mark in TRIALS:
            # A host that is just dying may still answer that it cannot begin.
            for name in (host.backend.get_hostname() for host in hosts):
                assert re.search(f" of {name}: (the change was not confirmed|not tried)", said), said[-3000:]
        else:
            assert said.count("UNREACHABLE!") == len(hosts), f"while {moment}"
            start(hosts)
        if mark == MOMENTS["a package is being set up"]:
            assert all("half configured" in host.run("dpkg --audit").stdout for host in hosts)
    assert play(playbook=SITE).returncode == 0
    again = play(playbook=SITE)
    assert again.returncode == 0
    assert again.stdout.count("changed=0") == len(hosts), "a finished host is changed once more"


def test_a_finished_host_has_everything_in_place(host: Any, neighbour: Any) -> None:
    assert host.run("systemctl is-system-running").stdout.strip() == "running"
    assert host.service("probe").is_running and not host.run("dpkg --audit").stdout
    assert host.run("sshd -T").stdout.count("passwordauthentication no\n") == 1
    url = f"https://{neighbour.address_of(host)}:9100/metrics"
    certificate = "--cert /etc/ssl/composer/host.crt --key /etc/ssl/composer/host.key"
    assert "node_memory_MemTotal_bytes" in neighbour.run(f"curl -sS -m 10 {certificate} {url}").stdout


def test_a_finished_host_has_a_firewall_that_was_confirmed(host: Any, neighbour: Any) -> None:
    assert host.run("systemd-run --unit=open-port python3 -m http.server 9999").succeeded
    listens = "timeout 20 sh -c 'until ss -Hltn sport = :9999 | grep -q .; do sleep 0.1; done'"
    assert host.run(listens).succeeded
    assert not neighbour.can_connect(host, 9999)
    assert host.run("cmp /etc/composer-firewall/candidate.nft /etc/composer-firewall/confirmed.nft").succeeded


def test_nothing_half_written_is_left(host: Any) -> None:
    assert not host.run("find / -xdev -name '.*.[0-9]*.new'").stdout
