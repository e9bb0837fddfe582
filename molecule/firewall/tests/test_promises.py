"""Nothing reaches a host, or leaves it, but what was declared."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

UNITS = ["composer-firewall", "composer-firewall-revert"]
# curl's exit status.
TIMED_OUT = 28
PORTS = (8001, 8002, 8003, 8004, 8005, 8006)
# On the neighbour: what the inventory says it has, what the set holds, and what nobody knows.
KNOWN, PARTNER, STRANGER = "fd93::a", "fd93::5:1", "fd93::b"


@pytest.fixture(scope="module", autouse=True)
def servers(host: Any) -> Iterator[None]:
    """Something that listens on every port tried, so that a closed port is closed by the firewall alone."""
    for port in PORTS:
        unit = f"listener-{port}"
        host.run(f"systemd-run --collect --unit={unit} python3 -m http.server --bind :: {port}")
    for port in PORTS:
        assert host.run(
            f"timeout 15 sh -c 'until curl -so /dev/null http://127.0.0.1:{port}/; do sleep 0.1; done'"
        ).succeeded
    yield
    for port in PORTS:
        host.run(f"systemctl stop listener-{port}")


def test_a_port_offered_to_everybody_is_open(host: Any, neighbour: Any) -> None:
    assert neighbour.can_connect(host, 8002)


def test_a_port_offered_to_a_group_is_open_to_its_hosts(host: Any, neighbour: Any) -> None:
    assert neighbour.can_connect(host, 8003)


def test_a_port_offered_to_another_group_is_closed(host: Any, neighbour: Any) -> None:
    assert not neighbour.can_connect(host, 8001)


def test_a_port_that_nobody_declared_is_closed(host: Any, neighbour: Any) -> None:
    assert not neighbour.can_connect(host, 8004)


def test_ssh_is_for_operators_only(host: Any, neighbour: Any) -> None:
    assert not neighbour.can_connect(host, 22)


def address_of(machine: Any) -> str:
    return str(machine.run("hostname -I").stdout.split()[0])


def counted(host: Any, reason: str) -> int:
    found = re.search(r"packets (\d+)", host.run(f"nft list counter inet composer {reason}").stdout)
    assert found
    return int(found.group(1))


@pytest.fixture
def elsewhere(neighbour: Any) -> Iterator[str]:
    """The address of a neighbour that listens where the hosts may go, and where they may not."""
    for port in (8001, 8009):
        neighbour.run(f"systemd-run --collect --unit=elsewhere-{port} python3 -m http.server {port}")
        ready = f"timeout 15 sh -c 'until curl -so /dev/null http://127.0.0.1:{port}/; do sleep 0.1; done'"
        assert neighbour.run(ready).succeeded
    yield address_of(neighbour)
    neighbour.run("systemctl stop elsewhere-8001 elsewhere-8009")


def test_a_host_goes_where_it_was_declared_to_go(host: Any, elsewhere: str) -> None:
    assert host.run(f"curl -so /dev/null -m 15 http://{elsewhere}:8001/").succeeded


def test_where_else_it_goes_is_counted_or_refused_at_once(host: Any, elsewhere: str) -> None:
    enforced = host.ansible.get_variables()["firewall_output_policy"] == "drop"
    counter = "output" if enforced else "output_undeclared"
    before = counted(host, counter)
    answer = host.run(f"curl -sS -o /dev/null -m 15 http://{elsewhere}:8009/")
    assert answer.failed == enforced and "timed out" not in answer.stderr
    assert counted(host, counter) > before


def test_every_rule_says_who_asked_for_it(host: Any) -> None:
    listed = host.run("nft list table inet composer").stdout
    assert 'comment "a role: for the observers"' in listed
    assert 'comment "inventory: for the neighbours"' in listed
    assert 'comment "every host: names"' in listed


def test_a_set_changes_without_a_reload_and_stays_changed(host: Any, neighbour: Any) -> None:
    assert not neighbour.can_connect(host, 8005)
    before = counted(host, "undeclared")
    assert host.run(f"composer-firewall add partners {address_of(neighbour)}").succeeded
    assert neighbour.can_connect(host, 8005)
    assert counted(host, "undeclared") >= before > 0, "the ruleset was loaded anew"
    assert host.run("systemctl reload composer-firewall.service").succeeded
    assert neighbour.can_connect(host, 8005)
    assert host.run(f"composer-firewall remove partners {address_of(neighbour)}").succeeded
    assert not neighbour.can_connect(host, 8005)


def test_who_is_blocked_reaches_nothing_and_an_operator_cannot_be(host: Any, neighbour: Any) -> None:
    assert host.run(f"composer-firewall add blocked {address_of(neighbour)}").succeeded
    assert not neighbour.can_connect(host, 8002)
    assert counted(host, "blocked") > 0
    assert host.run(f"composer-firewall remove blocked {address_of(neighbour)}").succeeded
    assert neighbour.can_connect(host, 8002)
    # A new connection each: what is established proves nothing.
    controller = host.run("sh -c 'echo $SSH_CONNECTION'").stdout.split()[0]
    assert host.run(f"composer-firewall add blocked {controller}").succeeded
    with socket.create_connection((neighbour.address_of(host), 22), timeout=5) as connection:
        assert connection.recv(3) == b"SSH"
    assert host.run(f"composer-firewall remove blocked {controller}").succeeded


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("add partners 203.0.113.300", "no address and no network"),
        ("add nobody 203.0.113.7", "No such file or directory"),
        ("add partners 203.0.113.7", "overlaps"),
        ("remove partners 203.0.113.0/24", "changed in the inventory"),
    ],
)
def test_a_set_is_not_changed_by_mistake(host: Any, words: str, complaint: str) -> None:
    done = host.run(f"composer-firewall {words}")
    assert done.rc == 1 and complaint in done.stderr


def refused_at(neighbour: Any, address: str, port: int, times: int) -> int:
    """Which of so many connections in a row is the first without an answer, or 0.

    One process makes them all: one that is slow to start on a busy machine would look like a refusal. It
    waits less than a second, because then the kernel asks again by itself, and is let in.
    """
    program = (
        "import socket\n"
        f"for number in range(1, {times} + 1):\n"
        "    try:\n"
        f"        socket.create_connection(('{address}', {port}), timeout=0.8).close()\n"
        "    except TimeoutError:\n"
        "        break\n"
        "else:\n"
        "    number = 0\n"
        "print(number)"
    )
    return int(neighbour.run("python3 -c %s", program).stdout)


def test_an_address_that_connects_too_often_waits(host: Any, neighbour: Any) -> None:
    # All at once, so that a busy machine cannot spread them over the time in which so many are allowed.
    flood = (
        "import socket\n"
        "for line in [socket.socket() for _ in range(60)]:\n"
        "    line.setblocking(False)\n"
        f"    line.connect_ex(('{neighbour.address_of(host)}', 8002))"
    )
    assert neighbour.run("python3 -c %s", flood).succeeded
    assert counted(host, "connection_rate") > 0
    answer = f"curl -so /dev/null -m 1 http://{neighbour.address_of(host)}:8002/"
    assert neighbour.run(f"timeout 20 sh -c 'until {answer}; do sleep 0.2; done'").succeeded


@pytest.fixture
def operator(host: Any, neighbour: Any) -> Iterator[None]:
    """The neighbour is one, for a while."""
    assert host.run(f"composer-firewall add operators {address_of(neighbour)}").succeeded
    yield
    assert host.run(f"composer-firewall remove operators {address_of(neighbour)}").succeeded


def test_an_operator_who_logs_in_too_often_waits_and_no_other_does(
    host: Any, neighbour: Any, operator: None
) -> None:
    before, refused = counted(host, "ssh_source"), counted(host, "ssh_rate")
    target = f"/dev/tcp/{neighbour.address_of(host)}/22"
    # The default: 60 at once, then one a second.
    assert refused_at(neighbour, neighbour.address_of(host), 22, times=150) > 60
    assert counted(host, "ssh_rate") > refused
    with socket.create_connection((neighbour.address_of(host), 22), timeout=5) as connection:
        assert connection.recv(3) == b"SSH"
    one = f"timeout 1 bash -c 'exec 3<>{target}'"
    assert neighbour.run("timeout 20 bash -c %s", f"until {one}; do sleep 0.2; done").succeeded
    assert counted(host, "ssh_source") == before


def test_what_was_refused_is_among_the_metrics_of_the_host(host: Any, neighbour: Any) -> None:
    assert not neighbour.can_connect(host, 8004)
    folder = "/var/lib/prometheus/node-exporter"
    line = "^composer_firewall_packets_total.reason=.undeclared.. [1-9]"
    written = f"until grep -q '{line}' {folder}/composer_firewall.prom; do sleep 0.5; done"
    assert host.run(f'timeout 60 sh -c "{written}"').succeeded, "its timer wrote nothing"
    exporter = (
        "systemd-run --collect --unit=exporter prometheus-node-exporter --web.listen-address=127.0.0.1:9111"
    )
    only = f"--collector.disable-defaults --collector.textfile --collector.textfile.directory={folder}"
    host.run(f"{exporter} {only}")
    patient = "curl -sS --retry 20 --retry-connrefused --retry-delay 1"
    scraped = host.run(f"{patient} http://127.0.0.1:9111/metrics").stdout
    host.run("systemctl stop exporter")
    assert re.search(r'^composer_firewall_packets_total\{reason="undeclared"\} [1-9]', scraped, re.MULTILINE)
    assert "composer_firewall_in_force 1" in scraped and "composer_firewall_on_trial 0" in scraped
    assert "node_textfile_scrape_error 0" in scraped


def test_a_host_reaches_itself_and_others(host: Any, neighbour: Any) -> None:
    me = neighbour.address_of(host)
    assert host.run(f"curl -so /dev/null http://{me}:8004/").succeeded
    other = neighbour.host.run("hostname -I").stdout.split()[0]
    assert host.run(f"ping -c1 -W3 {other}").succeeded


def test_other_tables_are_left_alone(host: Any) -> None:
    assert host.run("nft add table inet foreign").succeeded
    assert host.run("composer-firewall load").succeeded
    assert "table inet foreign" in host.run("nft list tables").stdout
    host.run("nft delete table inet foreign")


def test_ipv6_is_open_and_closed_like_ipv4(host: Any, neighbour: Any) -> None:
    listed = host.run("ip -6 -o address show dev eth0 scope link").stdout
    (address,) = re.findall(r"inet6 ([0-9a-f:]+)/", listed)

    def status(port: int) -> int:
        return int(neighbour.run(f"curl -so /dev/null -m 3 'http://[{address}%eth0]:{port}/'").rc)

    assert status(8002) == 0
    assert status(8004) == TIMED_OUT


@pytest.fixture
def ula(host: Any, neighbour: Any) -> Iterator[str]:
    """The host's address in a network of IPv6 in which the neighbour has three."""
    mine = f"fd93::1:{address_of(host).split('.')[-1]}"
    on = [(host, mine), *((neighbour, address) for address in (KNOWN, PARTNER, STRANGER))]
    for machine, address in on:
        assert machine.run(f"ip -6 addr add {address}/64 dev eth0 nodad").succeeded
    yield mine
    for machine, address in on:
        machine.run(f"ip -6 addr del {address}/64 dev eth0")


def test_an_ipv6_address_opens_what_it_was_named_for(host: Any, neighbour: Any, ula: str) -> None:
    def reached(*tried: tuple[str, int]) -> set[tuple[str, int]]:
        """All at the same time: what is refused takes its time."""
        asked = [
            f"(curl -so /dev/null -m 3 --interface {source} http://[{ula}]:{port}/ && echo {source} {port}) &"
            for source, port in tried
        ]
        said = neighbour.run("sh -c %s", "".join(asked) + "wait").stdout
        return {(source, int(port)) for source, port in map(str.split, said.splitlines())}

    # A port for a host by its group, for a set, for an address.
    everything = [(source, port) for source in (KNOWN, PARTNER, STRANGER) for port in (8003, 8005, 8006)]
    before = counted(host, "undeclared")
    assert reached(*everything) == {(KNOWN, 8003), (PARTNER, 8005), (KNOWN, 8006)}
    assert counted(host, "undeclared") >= before + 6
    assert host.run(f"composer-firewall add partners {STRANGER}").succeeded
    assert host.run(f"composer-firewall add blocked {KNOWN}").succeeded
    assert reached(*everything, (KNOWN, 8002)) == {(PARTNER, 8005), (STRANGER, 8005)}
    assert host.run(f"composer-firewall remove blocked {KNOWN}").succeeded
    assert host.run(f"composer-firewall remove partners {STRANGER}").succeeded
    assert reached((KNOWN, 8003), (STRANGER, 8005)) == {(KNOWN, 8003)}


def test_a_host_goes_to_the_ipv6_addresses_it_was_declared_to_go_to(
    host: Any, neighbour: Any, ula: str
) -> None:
    enforced = host.ansible.get_variables()["firewall_output_policy"] == "drop"
    counter = "output" if enforced else "output_undeclared"
    neighbour.run("systemd-run --collect --unit=elsewhere python3 -m http.server --bind :: 8001")
    ready = "until curl -so /dev/null http://[::1]:8001/; do sleep 0.1; done"
    assert neighbour.run(f"timeout 15 sh -c '{ready}'").succeeded
    try:
        before = counted(host, counter)
        assert host.run(f"curl -so /dev/null -m 15 http://[{KNOWN}]:8001/").succeeded
        assert counted(host, counter) == before
        answer = host.run(f"curl -sS -o /dev/null -m 15 http://[{STRANGER}]:8001/")
        assert answer.failed == enforced and "timed out" not in answer.stderr
        assert counted(host, counter) > before
    finally:
        neighbour.run("systemctl stop elsewhere")


def test_a_trial_does_not_outlive_a_restart(host: Any, neighbour: Any) -> None:
    gone = "table inet composer; delete table inet composer"
    nobody = "chain input { type filter hook input priority filter; policy drop; };"
    shut = f"{gone}; table inet composer {{ {nobody} }}"
    folder = "/etc/composer-firewall"
    # In one go, for no answer comes back; the last steps are what is left of a host after a restart.
    script = "; ".join(
        [
            f"cp -p {folder}/candidate.nft /root/",
            f"echo '{shut}' > {folder}/candidate.nft",
            "composer-firewall try 600",
            "nft list chain inet composer input > /root/meanwhile",
            "nft delete table inet composer",
            "rm -r /run/composer-firewall",
            "systemctl stop composer-firewall-revert.timer",
            "systemctl restart composer-firewall",
            f"mv /root/candidate.nft {folder}/",
        ]
    )
    assert host.run(f'systemd-run --wait --collect --unit=restart sh -c "{script}"').succeeded
    assert "accept" not in host.file("/root/meanwhile").content_string
    assert neighbour.can_connect(host, 8002) and not neighbour.can_connect(host, 8004)
    assert host.run("composer-firewall confirm").stderr.startswith(
        "composer-firewall: no ruleset is on trial"
    )
    assert host.run("composer-firewall try 30").stdout.strip() == "unchanged"


def test_it_is_in_force_again_after_a_restart(host: Any) -> None:
    assert host.run("systemctl is-enabled composer-firewall.service").stdout.strip() == "enabled"
    assert host.run("systemctl is-enabled composer-firewall-metrics.timer").stdout.strip() == "enabled"
    host.run("nft delete table inet composer")
    assert host.run("systemctl restart composer-firewall.service").succeeded
    assert "8002" in host.run("nft list table inet composer").stdout
