# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""From what an inventory calls hosts (groups, addresses, networks) to what a packet filter compares with."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def networks_of(
    name: str,
    groups: Mapping[str, list[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    where: str,
) -> list[str]:
    """The networks that a group, an address or a network stands for.

    Raises:
        AnsibleFilterError: it is none of them, or a host has no address; the message begins with `where`.
    """
    if name in groups:
        return [
            network(address, f"host_address of {host}")
            for host in groups[name]
            for address in addresses_of(host, hostvars[host])
        ]
    return [network(name, where, f" Groups of this inventory: {', '.join(sorted(groups))}.")]


def addresses_of(host: str, variables: Mapping[str, Any]) -> list[str]:
    """Every address by which a host is known to the others."""
    if "host_address" not in variables:
        raise AnsibleFilterError(f"The host {host} has no host_address, so no firewall rule can name it.")
    return [variables["host_address"], *variables.get("host_extra_addresses", [])]


def network(text: str, where: str, hint: str = "") -> str:
    """An address or network in its one spelling, `192.0.2.7/32`; 192.0.2.7/24 is refused, not guessed at."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise AnsibleFilterError(
            f"{where}: {text!r} is no group, no address and no network ({error}).{hint}"
        ) from error


def by_version(networks: Iterable[str]) -> dict[str, list[str]]:
    """`ipv4` and `ipv6`, each in order and without parts of each other: nft refuses elements that overlap."""
    parsed = [ipaddress.ip_network(text) for text in networks]
    return {
        f"ipv{version}": [
            str(one) for one in ipaddress.collapse_addresses(n for n in parsed if n.version == version)
        ]
        for version in (4, 6)
    }


def overlapping(network: str, others: Iterable[str]) -> str | None:
    """The first of the others that shares an address with the network."""
    mine = ipaddress.ip_network(network)
    for other in others:
        theirs = ipaddress.ip_network(other)
        if theirs.version == mine.version and theirs.overlaps(mine):
            return other
    return None
