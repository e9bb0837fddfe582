"""Nothing reaches a host but what was declared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

UNITS = ["composer-firewall", "composer-firewall-revert"]
PORTS = (8001, 8002, 8003, 8004)


@pytest.fixture(scope="module", autouse=True)
def servers(host: Any) -> Iterator[None]:
    """Something that listens on every port tried, so that a closed port is closed by the firewall alone."""
    for port in PORTS:
        unit = f"listener-{port}"
        host.run(f"systemd-run --collect --unit={unit} python3 -m http.server {port}")
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


def test_ipv6_is_closed_like_ipv4(host: Any) -> None:
    listed = json.loads(host.run("nft -j list chain inet composer input").stdout)["nftables"]
    (chain,) = [item["chain"] for item in listed if "chain" in item]
    assert chain["policy"] == "drop" and chain["hook"] == "input" and chain["family"] == "inet"


def test_a_ruleset_that_nobody_confirms_is_withdrawn(host: Any, neighbour: Any) -> None:
    """The mistake that locks everybody out, and no operator to mend it."""
    candidate = "/etc/composer-firewall/candidate.nft"
    shut = "{ chain input { type filter hook input priority filter; policy drop; }; }"
    mistake = f"table inet composer; delete table inet composer; table inet composer {shut}"
    # One command: the connection that carries it does not survive the ruleset, its unit does.
    script = (
        f"cp -p {candidate} /root/; echo '{mistake}' > {candidate}; composer-firewall try 4;"
        " nft list chain inet composer input | grep -c accept > /root/accepted_meanwhile"
    )
    host.run(f'systemd-run --collect --unit=mistake sh -c "{script}"')
    withdrawn = "until [ -e /etc/composer-firewall/refused.nft ]; do sleep 0.1; done"
    assert host.run(f"timeout 30 sh -c '{withdrawn}'").succeeded
    assert host.file("/root/accepted_meanwhile").content_string.strip() == "0"
    in_force = "until nft list table inet composer | grep -q 8002; do sleep 0.1; done"
    assert host.run(f"timeout 30 sh -c '{in_force}'").succeeded
    assert neighbour.can_connect(host, 8002)
    host.run(f"mv /root/candidate.nft {candidate}; rm /etc/composer-firewall/refused.nft")
    assert host.run("composer-firewall try 30").stdout.strip() == "unchanged"


def test_it_is_in_force_again_after_a_restart(host: Any) -> None:
    assert host.run("systemctl is-enabled composer-firewall.service").stdout.strip() == "enabled"
    host.run("nft delete table inet composer")
    assert host.run("systemctl restart composer-firewall.service").succeeded
    assert "8002" in host.run("nft list table inet composer").stdout
