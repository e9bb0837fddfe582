"""Who must reach whom in the lab: both ends declare it, so that dropping the rest breaks nothing."""

from __future__ import annotations

import ipaddress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

CHECKOUT = Path(__file__).resolve().parents[3]
HOSTS = ["edge1", "app1", "app2", "core1"]
HANDED_OVER = """{{ (lookup('euconquisto.composer.exports', 'firewall_%(export)s', asked_by=true)
  + firewall_extra_%(export)s | default([]))
  | euconquisto.composer.firewall_rules(groups, hostvars, ['operators'], peer='%(peer)s') }}"""
# What the platform does, whoever declares it: from, to, port.
NEEDED = [
    ("edge1", "app1", 8101),
    ("edge1", "app2", 8102),
    ("edge1", "core1", 8200),
    ("app1", "core1", 5432),
    ("app1", "core1", 8200),
    ("app1", "core1", 8333),
    ("app2", "core1", 5432),
    ("core1", "app1", 8101),
    ("core1", "app2", 9100),
    ("core1", "core1", 8200),
    ("core1", "edge1", 8404),
    ("core1", "core1", 8201),
]
FORBIDDEN = [
    ("app1", "app2", 8101),
    ("app1", "edge1", 8404),
    ("edge1", "core1", 5432),
    ("edge1", "core1", 8333),
    ("app1", "core1", 22),
]


@cache
def rules() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Both lists of every host of the lab: what its roles export, and what the inventory adds."""
    loader = DataLoader()
    inventory = InventoryManager(loader, sources=[str(CHECKOUT / "inventories/lab")])
    manager = VariableManager(loader, inventory)
    found = {}
    for host in HOSTS:
        variables = manager.get_vars(host=inventory.get_host(host))
        variables["hostvars"] = HostVars(inventory, manager, loader)
        templar = Templar(loader, variables)
        found[host] = {
            peer: templar.template(trust_as_template(HANDED_OVER % {"export": export, "peer": peer}))
            for peer, export in [("from", "rules"), ("to", "outgoing")]
        }
        found[host]["address"] = templar.template(variables["host_address"])
    return found


def allows(host: str, peer: str, other: str, port: int) -> bool:
    address = ipaddress.ip_address(rules()[other]["address"])
    return any(
        rule["port"] == port
        and (rule["any"] or any(address in ipaddress.ip_network(one) for one in rule["ipv4"]))
        for rule in rules()[host][peer]
    )


@pytest.mark.parametrize(("source", "target", "port"), NEEDED)
def test_what_the_platform_needs_is_declared_at_both_ends(source: str, target: str, port: int) -> None:
    assert allows(source, "to", target, port), f"{source} does not declare that it must reach {target}:{port}"
    assert allows(target, "from", source, port), f"{target} does not offer {port} to {source}"


@pytest.mark.parametrize(("source", "target", "port"), FORBIDDEN)
def test_what_nobody_needs_is_closed_at_both_ends(source: str, target: str, port: int) -> None:
    assert not allows(source, "to", target, port) and not allows(target, "from", source, port)


@pytest.mark.parametrize("source", HOSTS)
def test_no_host_declares_a_way_to_a_closed_door(source: str) -> None:
    for rule in rules()[source]["to"]:
        for target in HOSTS:
            if f"{rules()[target]['address']}/32" in rule["ipv4"]:
                assert allows(target, "from", source, rule["port"]), f"{target}: {rule['comment']}"


@pytest.mark.parametrize("host", ["app1", "app2"])
def test_application_hosts_reach_the_third_party_and_nobody_else_by_https(host: str) -> None:
    (rule,) = [rule for rule in rules()[host]["to"] if rule["port"] == 443]
    # The network of the third party is the next one.
    network = int(rules()["edge1"]["address"].split(".")[1])
    assert not rule["any"] and rule["ipv4"] == [f"10.{network + 1}.0.10/32"]
