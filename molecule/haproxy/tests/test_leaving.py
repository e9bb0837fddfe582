"""A front door that leaves says so first; a balancer is believed who calls, and nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from door import TLS, Answer, log_entry, restart

UNITS = ["haproxy"]
LEAVE = Path(__file__).parents[1] / "leave.yml"
LEAVE_SECONDS = 3
BALANCER = "127.0.0.66"


@pytest.fixture
def serves_again(host: Any) -> Iterator[None]:
    """Whatever a test does, a start brings the front door back."""
    yield
    restart(host)
    ready = f"curl -sf -o /dev/null {TLS} https://localhost/health/ready"
    host.check_output(f"timeout 15 bash -c 'until {ready}; do sleep 0.2; done'")


@pytest.mark.usefixtures("serves_again")
def test_it_says_so_first_serves_meanwhile_and_ends_with_its_last_call(host: Any, play: Any) -> None:
    with ThreadPoolExecutor() as pool:
        knocking = pool.submit(host.check_output, "/usr/bin/python3 /opt/around/knock.py")
        left = play("--limit", host.backend.get_hostname(), playbook=LEAVE)
        seen = json.loads(knocking.result(timeout=120).splitlines()[-1])
    assert left.returncode == 0
    health = [status for _, status in seen["health"]]
    assert health[0] == 200 and 503 in health
    warned = next(at for at, status in seen["health"] if status == 503)
    # Nobody is turned away before whoever sends callers here has had the time to see it.
    turned_away = [(at, status) for at, status in seen["health"] + seen["calls"] if status not in (200, 503)]
    assert {status for _, status in turned_away} == {0}, seen
    assert min(at for at, _ in turned_away) - warned > LEAVE_SECONDS - 1, seen
    assert 503 not in [status for _, status in seen["calls"]]
    assert seen["slow"] == 200
    assert host.run("systemctl is-active haproxy").stdout.strip() == "inactive"
    assert host.run("ls /run/systemd/system/haproxy.service.d").stdout == ""


def ask(
    host: Any, address: str, source: str = "", times: int = 1, path: str = "/health/live"
) -> list[dict[str, Any]]:
    """What somebody at this address gets who says, before anything else, that he asks for this source."""
    line = f"PROXY TCP4 {source} 127.0.0.1 40000 443" if source else ""
    command = f"/usr/bin/python3 /opt/around/passed_on.py {address} {path} {times} '{line}'"
    return list(json.loads(host.check_output(command)))


@pytest.mark.parametrize("balancer", [BALANCER, "127.0.9.7"])
def test_a_balancer_tells_who_calls(host: Any, balancer: str) -> None:
    (told,) = ask(host, balancer, "203.0.113.9")
    assert told["status"] == 200
    assert log_entry(host, Answer(told["status"], told["headers"], ""))["source"] == "203.0.113.9"


def test_nobody_else_is_believed_and_a_balancer_must_tell(host: Any) -> None:
    other = "127.0.0.67"
    assert "error" in ask(host, other, "203.0.113.9")[0]
    assert ask(host, other)[0]["status"] == 200
    assert "error" in ask(host, BALANCER)[0]


def test_callers_behind_a_balancer_are_limited_one_by_one_and_its_own_looks_are_not(host: Any) -> None:
    looks = ask(host, BALANCER, BALANCER, times=100, path="/health/ready")
    assert {told["status"] for told in looks} == {200}
    # Nor does each of them cost a line of the log.
    count = f"journalctl -q -o cat -u haproxy COMPOSER_EVENT=call | grep -c '\"{BALANCER}\"'"
    assert host.run(count).stdout.strip() == "0"
    guesses = [told["status"] for told in ask(host, BALANCER, "203.0.113.10", times=100)]
    assert guesses[0] == 200 and guesses[-1] == 429
    assert ask(host, BALANCER, "203.0.113.11")[0]["status"] == 200
