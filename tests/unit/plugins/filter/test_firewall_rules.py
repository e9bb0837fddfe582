from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.euconquisto.composer.plugins.filter.firewall_rules import firewall_rules

GROUPS = {"app": ["app1", "app2"], "observer": ["core1"], "empty": []}
HOSTVARS: dict[str, dict[str, Any]] = {
    "app1": {"host_address": "192.0.2.11", "host_extra_addresses": ["2001:db8::11"]},
    "app2": {"host_address": "192.0.2.12"},
    "core1": {"host_address": "192.0.2.20"},
    "nameless": {},
}


def resolve(
    *rules: dict[str, Any], operators: tuple[str, ...] = ("198.51.100.0/24",)
) -> list[dict[str, Any]]:
    return firewall_rules(rules, {**GROUPS, "broken": ["nameless"]}, HOSTVARS, operators)


def rule(port: int = 9100, **more: Any) -> dict[str, Any]:
    return {"port": port, "from": "app", "reason": "because", **more}


def test_a_group_becomes_the_addresses_of_its_hosts_by_version() -> None:
    (made,) = resolve(rule())
    assert made["ipv4"] == ["192.0.2.11/32", "192.0.2.12/32"]
    assert made["ipv6"] == ["2001:db8::11/128"]
    assert (made["proto"], made["any"]) == ("tcp", False)


def test_operators_addresses_and_lists_are_understood() -> None:
    (made,) = resolve(rule(**{"from": ["operators", "observer", "203.0.113.7"]}))
    assert made["ipv4"] == ["192.0.2.20/32", "198.51.100.0/24", "203.0.113.7/32"]


def test_a_group_without_hosts_lets_nobody_in() -> None:
    assert resolve(rule(**{"from": "empty"})) == []


def test_rules_of_several_roles_for_one_purpose_become_one() -> None:
    (made,) = resolve(rule(), rule(**{"from": "observer"}))
    assert made["ipv4"] == ["192.0.2.11/32", "192.0.2.12/32", "192.0.2.20/32"]


def test_networks_that_overlap_are_merged_because_nft_refuses_them() -> None:
    (made,) = resolve(rule(**{"from": ["192.0.2.0/24", "app"]}))
    assert made["ipv4"] == ["192.0.2.0/24"]


def test_the_order_does_not_depend_on_who_declared_first() -> None:
    assert resolve(rule(443), rule(80)) == resolve(rule(80), rule(443))


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (rule(**{"from": "ap"}), "no group of this inventory"),
        (rule(**{"from": "broken"}), "nameless has no host_address"),
        (rule(port=70000), "port up to 65535"),
        (rule(proto="sctp"), "tcp or udp"),
        (rule(reason=""), "lacks reason"),
        (rule(reason='with "quotes"'), "without quotes"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AnsibleFilterError, match=complaint):
        resolve(wrong)


def test_a_wrong_operator_network_is_told_by_the_variables_name() -> None:
    with pytest.raises(AnsibleFilterError, match="firewall_operators"):
        resolve(rule(**{"from": "operators"}), operators=("198.51.100.300",))
