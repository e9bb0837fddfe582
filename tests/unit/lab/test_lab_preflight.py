"""What would stop `make lab` later is found before anything is started, with the remedy."""

import json
import socket

import pytest

from lab import config, preflight
from lab.machine import GIB
from lab.problem import Problem

LAB = config.from_environment({"LAB_NAME": "test"})


@pytest.fixture(autouse=True)
def _no_networks_of_ours(monkeypatch):
    monkeypatch.setattr(preflight, "_interface", lambda network: f"bridge-of-{network}")


def complaint(check, *arguments):
    """The problem that a check raises; nothing was started in any of them."""
    with pytest.raises(Problem) as caught:
        check(*arguments)
    assert caught.value.state == "Nothing was started."
    assert len(str(caught.value).splitlines()) >= 4
    return caught.value


def test_a_missing_program_is_named_with_what_it_is_for():
    problem = complaint(preflight.programs, lambda name: None if name == "mmdebstrap" else f"/usr/bin/{name}")
    assert "mmdebstrap" in problem.happened and "host images" in problem.matters
    assert "scripts/bootstrap" in problem.remedy


def test_a_user_without_root_and_sudo_is_told_so(monkeypatch):
    monkeypatch.setattr(preflight.shutil, "which", lambda name: None)
    assert "sudo" in complaint(preflight.rights, 1000).happened


def test_a_taken_port_is_reported_with_another_one():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        lab = config.Lab(name="test", prefix="10.94.0", port=number)
        problem = complaint(preflight.port, lab, None)
    assert str(number) in problem.happened
    assert f"LAB_PORT={number + 1000}" in problem.remedy


def test_the_port_of_our_own_running_lab_is_not_an_obstacle():
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        number = ours.getsockname()[1]
        preflight.port(config.Lab(name="test", prefix="10.94.0", port=number), number)


def test_a_lab_that_stands_at_another_port_is_not_silently_moved():
    with pytest.raises(Problem) as caught:
        preflight.port(LAB, 9443)
    assert "9443" in caught.value.happened and "LAB_PORT=9443" in caught.value.remedy


@pytest.mark.parametrize("taken", ["10.94.0.0/24", "10.0.0.0/8", "10.95.0.7"])
def test_addresses_that_the_machine_already_uses_are_reported(taken):
    problem = complaint(preflight.subnets, LAB, json.dumps([{"dst": taken, "dev": "tun0"}]))
    assert "tun0" in problem.happened and "LAB_SUBNET" in problem.remedy


def test_the_default_route_and_our_own_networks_are_no_obstacle():
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "10.94.0.0/24", "dev": f"bridge-of-{LAB.network}"},
        {"dst": "192.168.0.0/16", "dev": "eth1"},
    ]
    preflight.subnets(LAB, json.dumps(routes))


def test_too_little_memory_is_reported_with_both_figures():
    problem = complaint(preflight.memory, 2 * GIB, False)
    assert "2.0 GiB" in problem.happened and "6 GiB" in problem.matters


def test_a_running_lab_needs_no_memory_once_more():
    preflight.memory(2 * GIB, True)


def test_too_little_disk_is_reported_with_its_place(tmp_path):
    problem = complaint(preflight.disk, tmp_path, 3 * GIB, True)
    assert str(tmp_path) in problem.happened and "10 GiB" in problem.matters
