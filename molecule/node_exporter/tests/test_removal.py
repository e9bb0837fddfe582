"""`node_exporter_state: absent` leaves nothing of the role, and `present` brings it back."""

from __future__ import annotations

from typing import Any

import pytest

UNITS = ["prometheus-node-exporter", "composer-apparmor-metrics"]
# A play over ssh takes its time on a busy machine.
pytestmark = pytest.mark.timeout(480)
PACKAGES = ("prometheus-node-exporter", "prometheus-node-exporter-collectors")
# Whatever the role writes has one of these in its path.
TRACES = "-path '*composer*node*exporter*' -o -path '*composer*host-metrics*' -o -path '*composer*apparmor*'"
TRACES += " -o -path '*composer*backup*'"


def traces(host: Any) -> str:
    """Files of the role, and what is left of the exporter's units."""
    found = host.run(
        f"find /etc /usr/local /var/lib \\( {TRACES} -o -path '*prometheus-node-exporter*.d*' \\)"
    ).stdout
    names = "'*node-exporter*' '*apparmor-metrics*' '*backup-metrics*'"
    units = host.run(f"systemctl list-units --all --no-legend --plain {names}").stdout
    return str(found + units)


def test_a_dry_run_of_the_removal_says_so_and_removes_nothing(hosts: Any, play: Any) -> None:
    before = [traces(host) for host in hosts]
    done = play("--check", node_exporter_state="absent")
    assert done.returncode == 0
    assert done.stdout.count("changed=0") == 0
    assert [traces(host) for host in hosts] == before
    assert all(host.package(name).is_installed for host in hosts for name in PACKAGES)


def test_the_role_undoes_itself_and_comes_back(hosts: Any, play: Any) -> None:
    assert all(traces(host) for host in hosts), "the search would find nothing where something is"
    assert play(node_exporter_state="absent").returncode == 0
    for host in hosts:
        assert not any(host.package(name).is_installed for name in PACKAGES)
        assert not host.socket("tcp://0.0.0.0:9100").is_listening
        assert not host.socket("tcp://:::9100").is_listening
        assert not traces(host)
        assert host.run("systemctl is-system-running").stdout.strip() == "running"
    again = play(node_exporter_state="absent")
    assert again.returncode == 0 and again.stdout.count("changed=0") == len(hosts)
    assert play().returncode == 0
    for host in hosts:
        assert host.service("prometheus-node-exporter").is_running
        assert host.service("composer-apparmor-metrics.timer").is_running
        assert host.service("composer-backup-metrics.timer").is_running
    unchanged = play()
    assert unchanged.returncode == 0 and unchanged.stdout.count("changed=0") == len(hosts)


def test_after_it_came_back_it_asks_for_a_certificate_as_before(host: Any, neighbour: Any) -> None:
    url = f"https://{neighbour.address_of(host)}:9100/metrics"
    certificate = "--cert /etc/ssl/composer/host.crt --key /etc/ssl/composer/host.key"
    assert "node_memory_MemTotal_bytes" in neighbour.run(f"curl -sS -m 10 {certificate} {url}").stdout
    refused = neighbour.run(f"curl -sS -m 10 {url}")
    assert refused.failed and "node_" not in refused.stdout
