from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.euconquisto.composer.plugins.filter.firewall_rules import firewall_rules

GROUPS = {"app": ["app1", "app2"], "observer": ["core1"], "empty": [], "broken": ["nameless"]}
HOSTVARS: dict[str, dict[str, Any]] = {
    "app1": {"host_address": "192.0.2.11", "host_extra_addresses": ["2001:db8::11"]},
    "app2": {"host_address": "192.0.2.12"},
    "core1": {"host_address": "192.0.2.20"},
    "nameless": {},
}


def resolve(*rules: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return firewall_rules(rules, GROUPS, HOSTVARS, ["operators", "partners"], ssh_port=22, **more)


def rule(port: int = 9100, **more: Any) -> dict[str, Any]:
    return {"port": port, "from": "app", "reason": "because", **more}


def test_a_group_becomes_the_addresses_of_its_hosts_by_version() -> None:
    (made,) = resolve(rule())
    assert made["ipv4"] == ["192.0.2.11/32", "192.0.2.12/32"]
    assert made["ipv6"] == ["2001:db8::11/128"]
    assert (made["proto"], made["any"], made["sets"]) == ("tcp", False, [])


def test_sets_addresses_and_lists_are_understood() -> None:
    (made,) = resolve(rule(**{"from": ["partners", "observer", "203.0.113.7", "operators"]}))
    assert made["ipv4"] == ["192.0.2.20/32", "203.0.113.7/32"]
    assert made["sets"] == ["operators", "partners"]


def test_a_group_without_hosts_lets_nobody_in() -> None:
    assert resolve(rule(**{"from": "empty"})) == []


def test_rules_of_several_roles_for_one_purpose_become_one_and_say_who_asked() -> None:
    (made,) = resolve(rule(asked_by="web"), rule(asked_by="node", **{"from": "observer"}), rule())
    assert made["ipv4"] == ["192.0.2.11/32", "192.0.2.12/32", "192.0.2.20/32"]
    assert made["comment"] == "inventory, node, web: because"


def test_a_comment_is_no_longer_than_the_kernel_keeps() -> None:
    (made,) = resolve(rule(reason="ü" * 100))
    assert len(made["comment"].encode()) <= 127 and made["comment"].startswith("inventory: üü")


def test_networks_that_overlap_are_merged_because_nft_refuses_them() -> None:
    (made,) = resolve(rule(**{"from": ["192.0.2.0/24", "app"]}))
    assert made["ipv4"] == ["192.0.2.0/24"]


def test_the_order_does_not_depend_on_who_declared_first() -> None:
    assert resolve(rule(443), rule(80)) == resolve(rule(80), rule(443))
    assert [made["port"] for made in resolve(rule(443), rule(80))] == [80, 443]


def test_where_a_host_may_go_is_told_by_to() -> None:
    (made,) = resolve({"port": 5432, "to": "observer", "reason": "database"}, peer="to")
    assert made["ipv4"] == ["192.0.2.20/32"]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (rule(**{"from": "ap"}), r"tcp port 9100 \(inventory: because\): 'ap' is no group.*app, broken"),
        (rule(**{"from": "192.0.2.300"}), "no address and no network"),
        (rule(**{"from": "192.0.2.7/24"}), "has host bits set"),
        (rule(**{"from": "broken"}), "nameless has no host_address"),
        (rule(port=70000), "port from 1 to 65535"),
        (rule(port="https"), "port from 1 to 65535"),
        (rule(proto="sctp"), "tcp or udp"),
        (rule(reason=""), "lacks reason"),
        (rule(reason='with "quotes"'), "without quotes"),
        (rule(port=22), "ssh port"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(AnsibleFilterError, match=complaint):
        resolve(wrong)


def test_rules_that_contradict_each_other_are_refused_and_both_are_named() -> None:
    with pytest.raises(AnsibleFilterError, match=r"some only \(web: because\) and to everybody \(site: "):
        resolve(rule(443, asked_by="web"), rule(443, asked_by="site", reason="all", **{"from": "any"}))


def test_two_ways_to_go_out_are_no_contradiction() -> None:
    ways: list[dict[str, Any]] = [
        {"port": 443, "to": "observer", "reason": "a"},
        {"port": 443, "to": "any", "reason": "b"},
    ]
    assert len(resolve(*ways, peer="to")) == 2
