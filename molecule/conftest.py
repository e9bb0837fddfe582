"""What every scenario's tests may use: a second host, plays, the journal of a failed test."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import testinfra
import testinfra.host

CONNECT_SECONDS = 3
CONVERGE = Path(__file__).resolve().parent / "resources/converge.yml"
PLAY_SECONDS = 420

Play = Callable[..., subprocess.CompletedProcess[str]]


class Neighbour:
    """Another machine on the same network."""

    def __init__(self, host: testinfra.host.Host) -> None:
        self.host = host

    def can_connect(self, other: testinfra.host.Host, port: int) -> bool:
        """Whether a TCP connection from this machine to a port of `other` is accepted."""
        command = f"timeout {CONNECT_SECONDS} bash -c 'exec 3<>/dev/tcp/{self.address_of(other)}/{port}'"
        return bool(self.host.run(command).rc == 0)

    def address_of(self, other: testinfra.host.Host) -> str:
        """The address at which this machine reaches `other`."""
        return str(other.ansible.get_variables()["ansible_host"])

    def run(self, command: str, *arguments: str) -> Any:
        """Run a command on this machine."""
        return self.host.run(command, *arguments)


def _name(host: testinfra.host.Host) -> str:
    return str(host.backend.get_hostname())


def _hosts(config: pytest.Config, pattern: str) -> list[testinfra.host.Host]:
    inventory = config.getoption("ansible_inventory")
    return list(testinfra.get_hosts([f"ansible://{pattern}"], ansible_inventory=inventory))


@pytest.fixture
def neighbour(host: testinfra.host.Host, request: pytest.FixtureRequest) -> Neighbour:
    """A host of the group `neighbours` if the scenario has one, else the scenario's next host."""
    others = _hosts(request.config, "neighbours")
    others += [other for other in _hosts(request.config, "all") if _name(other) != _name(host)]
    assert others, "this scenario has one host only; add a platform with `groups: [neighbours]`"
    return Neighbour(others[0])


@pytest.fixture
def hosts(request: pytest.FixtureRequest) -> list[testinfra.host.Host]:
    """Every host to which the role is applied, for a test of what is done to all of them at once."""
    onlookers = {_name(host) for host in _hosts(request.config, "neighbours")}
    return [host for host in _hosts(request.config, "all") if _name(host) not in onlookers]


@pytest.fixture
def onlooker(request: pytest.FixtureRequest) -> Neighbour:
    """The host of the group `neighbours`, for such tests."""
    return Neighbour(_hosts(request.config, "neighbours")[0])


@pytest.fixture(scope="session")
def play(request: pytest.FixtureRequest) -> Play:
    """Run a playbook (the converge unless named) with variables; a failed test shows the output."""
    inventory = request.config.getoption("ansible_inventory")

    def run(*options: str, playbook: Path = CONVERGE, **variables: Any) -> subprocess.CompletedProcess[str]:
        command = ["ansible-playbook", "-i", inventory, "-e", json.dumps(variables), *options, str(playbook)]
        done = subprocess.run(
            command,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PLAY_SECONDS,
        )
        print(done.stdout[-6000:], done.stderr[-2000:])
        return done

    return run


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Do not test the neighbours: the role is not applied to them."""
    onlookers = {_name(host) for host in _hosts(config, "neighbours")}
    items[:] = [item for item in items if _tested_host(item) not in onlookers]


def _tested_host(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    host = callspec.params.get("_testinfra_host") if callspec else None
    return _name(host) if host else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failed test what an operator would ask for first.

    A test module names its units in UNITS; without it the journal's warnings are shown.
    """
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.when == "call" and report.failed and host is not None:
        units = getattr(getattr(item, "module", None), "UNITS", [])
        selection = [f"--unit={unit}" for unit in units] or ["--priority=warning"]
        command = " ".join(["journalctl --boot --no-pager --lines=40", *selection])
        report.sections.append((f"journal of {_name(host)}", host.run(command).stdout))
        failed = host.run("systemctl --failed --no-legend").stdout
        report.sections.append((f"failed units of {_name(host)}", failed))
    return report
