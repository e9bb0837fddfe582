from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.euconquisto.composer.plugins.filter.firewall_sets import firewall_sets

GROUPS = {"all": ["app1", "core1"], "app": ["app1"]}
HOSTVARS: dict[str, dict[str, Any]] = {
    "app1": {"host_address": "192.0.2.11", "host_extra_addresses": ["2001:db8::11"]},
    "core1": {"host_address": "192.0.2.20"},
}


def resolve(came_from: str = "", **sets: list[str]) -> dict[str, dict[str, list[str]]]:
    return firewall_sets({"operators": ["198.51.100.0/24"], **sets}, GROUPS, HOSTVARS, came_from)


def test_groups_addresses_and_networks_become_networks_by_version() -> None:
    assert resolve(partners=["app", "203.0.113.7", "2001:db8:7::/48"])["partners"] == {
        "ipv4": ["192.0.2.11/32", "203.0.113.7/32"],
        "ipv6": ["2001:db8::11/128", "2001:db8:7::/48"],
    }


@pytest.mark.parametrize("address", ["198.51.100.7", "::ffff:198.51.100.7"])
def test_who_is_an_operator_may_change_the_rules(address: str) -> None:
    assert resolve(came_from=address)["operators"]["ipv4"] == ["198.51.100.0/24"]


@pytest.mark.parametrize("address", ["192.0.2.11", "2001:db8::1", "fe80::1%eth0"])
def test_rules_that_would_cut_off_who_brings_them_are_refused(address: str) -> None:
    with pytest.raises(AnsibleFilterError, match=r"would cut it off. It holds: 198.51.100.0/24"):
        resolve(came_from=address)


@pytest.mark.parametrize(
    ("blocked", "whose"),
    [
        ("198.51.100.0/25", "an operator"),
        ("192.0.2.0/28", "the host app1"),
        ("2001:db8::/64", "the host app1"),
        ("0.0.0.0/0", "an operator"),
    ],
)
def test_who_belongs_to_the_platform_cannot_be_blocked(blocked: str, whose: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"firewall_blocked holds {blocked}.*{whose}"):
        resolve(blocked=[blocked])


@pytest.mark.parametrize("name", ["app", "any", "With-Dash", "", "x" * 60])
def test_a_name_that_means_something_else_is_refused(name: str) -> None:
    with pytest.raises(AnsibleFilterError, match="A firewall set is called"):
        resolve(**{name: []})


@pytest.mark.parametrize("element", ["203.0.113.300", "203.0.113.7/24", "ap"])
def test_an_element_that_cannot_be_meant_is_told_with_its_set(element: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"firewall set partners: '{element}' is no group"):
        resolve(partners=[element])
