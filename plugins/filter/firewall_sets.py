# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Turn declared sets of the firewall into addresses, and refuse those that would cut off who must get in."""

from __future__ import annotations

DOCUMENTATION = r"""
name: firewall_sets
short_description: Turn declared firewall sets into addresses
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Replaces the groups that a set names by the addresses of their hosts, separated by IP version.
  - Refuses a set V(operators) without the address from which Ansible itself has come, and a set V(blocked)
    that holds an operator or a host of the platform.
options:
  _input:
    description: From a set's name to its addresses, networks and groups.
    type: dict
    required: true
  groups:
    description: The variable C(groups).
    type: dict
    required: true
  hostvars:
    description: The variable C(hostvars); each host's C(host_address) and C(host_extra_addresses) are read.
    type: dict
    required: true
  came_from:
    description: The address from which Ansible is connected, as the host sees it; empty when not by ssh.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show who is meant
  ansible.builtin.debug:
    msg: "{{ {'partners': ['192.0.2.0/24', 'app']} | euconquisto.composer.firewall_sets(groups, hostvars) }}"
"""

RETURN = r"""
_value:
  description: From a set's name to its C(ipv4) and C(ipv6) networks.
  type: dict
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.euconquisto.composer.plugins.plugin_utils.addresses import (
    addresses_of,
    by_version,
    network,
    networks_of,
    overlapping,
)

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


def firewall_sets(
    sets: Mapping[str, Iterable[str]],
    groups: Mapping[str, list[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    came_from: str = "",
) -> dict[str, dict[str, list[str]]]:
    """Resolve every set; raise AnsibleFilterError for one that cannot be meant."""
    made: dict[str, dict[str, list[str]]] = {}
    for name, elements in sets.items():
        if not NAME.fullmatch(name) or name in groups or name == "any":
            raise AnsibleFilterError(
                f"A firewall set is called {name!r}. "
                "A name has small letters, digits and _, and is no group's."
            )
        where = f"An element of the firewall set {name}"
        made[name] = by_version(
            found for element in elements for found in networks_of(element, groups, hostvars, where)
        )
    if came_from:
        _admit(came_from, made.get("operators", {}))
    _spare(made.get("blocked", {}), made.get("operators", {}), groups, hostvars)
    return made


def _admit(came_from: str, operators: Mapping[str, list[str]]) -> None:
    address = ipaddress.ip_address(came_from)
    plain = (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address
    if not overlapping(str(ipaddress.ip_network(str(plain).partition("%")[0])), _all(operators)):
        raise AnsibleFilterError(
            f"firewall_operators does not hold {plain}, from where Ansible is connected to this host: the "
            f"rules would cut it off. It holds: {', '.join(_all(operators)) or 'nothing'}."
        )


def _spare(
    blocked: Mapping[str, list[str]],
    operators: Mapping[str, list[str]],
    groups: Mapping[str, list[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
) -> None:
    if not _all(blocked):
        return
    ours = dict.fromkeys(_all(operators), "an operator")
    for host in groups.get("all", []):
        ours |= {network(address, host): f"the host {host}" for address in addresses_of(host, hostvars[host])}
    for one, whose in ours.items():
        if block := overlapping(one, _all(blocked)):
            raise AnsibleFilterError(f"firewall_blocked holds {block}, and with it {one} of {whose}.")


def _all(versions: Mapping[str, list[str]]) -> list[str]:
    return [one for networks in versions.values() for one in networks]


class FilterModule:
    """The filter plugin `firewall_sets`."""

    def filters(self) -> dict[str, Any]:
        """Name the filter."""
        return {"firewall_sets": firewall_sets}
