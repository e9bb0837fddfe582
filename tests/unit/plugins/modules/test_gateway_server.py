"""HAProxy's answers, and what the module does with a HAProxy that answers so: a socket, no mock."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.euconquisto.composer.plugins.modules import gateway_server

HEAD = "# pxname,svname,qcur,qmax,scur,status\n"
ADDRESSES = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state
3 composer 1 app1 10.0.0.11 2
3 composer 2 app2 10.0.0.12 2
4 other 1 app1 10.0.0.99 2
"""


class FakeGateway:
    """Speaks HAProxy's protocol: one command, one answer, end of connection."""

    def __init__(self, path: Path) -> None:
        self.status = {"app1": "UP", "app2": "UP"}
        self.sessions = {"app1": 0, "app2": 3}
        self.said: list[str] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line = self._server.accept()[0]
            except OSError:
                return
            with line:
                line.sendall(self._answer(line.recv(4096).decode().strip()).encode())

    def _answer(self, command: str) -> str:
        if command == "show stat":
            rows = [
                f"composer,{name},0,0,{self.sessions[name]},{state}" for name, state in self.status.items()
            ]
            return (
                HEAD + "\n".join([*rows, "composer,BACKEND,0,0,3,UP", "front,FRONTEND,0,0,1,OPEN"]) + "\n\n"
            )
        if command == "show servers state composer":
            return ADDRESSES
        self.said.append(command)
        target, state = command.split()[2::2]
        self.status[target.split("/")[1]] = {"drain": "DRAIN", "ready": "UP"}[state]
        return "\n"

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[FakeGateway]:
    found = FakeGateway(tmp_path / "admin.sock")
    yield found
    found.close()


def run(tmp_path: Path, **arguments: Any) -> dict[str, Any]:
    """The module as Ansible starts it."""
    given = {"socket": str(tmp_path / "admin.sock"), "seconds": 1, **arguments}
    done = subprocess.run(
        [sys.executable, gateway_server.__file__],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": given}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_servers_are_told_with_their_addresses(gateway: FakeGateway, tmp_path: Path) -> None:
    assert run(tmp_path)["servers"] == [
        {"name": "app1", "address": "10.0.0.11", "status": "UP", "sessions": 0},
        {"name": "app2", "address": "10.0.0.12", "status": "UP", "sessions": 3},
    ]


def test_a_host_is_drained_and_the_calls_that_go_on_are_told(gateway: FakeGateway, tmp_path: Path) -> None:
    answer = run(tmp_path, state="drained", address="10.0.0.12")
    assert gateway.said == ["set server composer/app2 state drain"]
    assert answer["changed"] and answer["sessions"] == 3


@pytest.mark.parametrize("status", ["DOWN", "DRAIN", "MAINT", "DOWN 1/2"])
def test_the_last_host_that_serves_is_not_drained(gateway: FakeGateway, tmp_path: Path, status: str) -> None:
    gateway.status["app1"] = status
    answer = run(tmp_path, state="drained", address="10.0.0.12")
    assert f"Without app2 nobody would serve: app1 is {status}" in answer["msg"]
    assert gateway.said == []
    assert run(tmp_path, state="drained", address="10.0.0.12", alone=True)["changed"]


def test_a_host_comes_back_only_when_the_gateway_finds_it_healthy(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.status["app1"] = "DOWN"
    answer = run(tmp_path, state="ready", address="10.0.0.11")
    assert "does not find app1 ready after 1 s; it says DOWN" in answer["msg"]
    assert gateway.said == []
    gateway.status["app1"] = "DRAIN"
    assert run(tmp_path, state="ready", address="10.0.0.11")["changed"]
    assert gateway.said == ["set server composer/app1 state ready"]


def test_a_server_without_checks_comes_back_at_once(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.status["app1"] = "no check"
    answer = run(tmp_path, state="ready", address="10.0.0.11")
    assert "failed" not in answer and not answer["changed"]


def test_check_mode_sets_nothing(gateway: FakeGateway, tmp_path: Path) -> None:
    arguments = {"state": "drained", "address": "10.0.0.12", "_ansible_check_mode": True}
    assert run(tmp_path, **arguments)["changed"]
    assert gateway.said == []


def test_an_address_that_the_gateway_does_not_know_is_told_with_those_it_knows(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    answer = run(tmp_path, state="drained", address="10.0.0.13")
    told = "The backend composer of this gateway has no server 10.0.0.13; it has app1 (10.0.0.11), app2"
    assert told in answer["msg"]


def test_a_gateway_that_does_not_run_is_told(tmp_path: Path) -> None:
    assert "systemctl status haproxy" in run(tmp_path)["msg"]
