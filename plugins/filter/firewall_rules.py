# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Turn declared firewall rules (who may reach which port, and why) into addresses."""

from __future__ import annotations

DOCUMENTATION = r"""
name: firewall_rules
short_description: Turn declared firewall rules into addresses
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Replaces the groups that a rule names by the addresses of their hosts, separated by IP version.
  - A rule whose groups have no hosts lets nobody in and is left out.
options:
  _input:
    description:
      - Rules with C(port), C(from), C(reason) and optionally C(proto) (V(tcp) or V(udp)). C(from) is an
        inventory group, V(any), V(operators), an address or network, or a list of these.
    type: list
    elements: dict
    required: true
  groups:
    description: The variable C(groups).
    type: dict
    required: true
  hostvars:
    description: The variable C(hostvars); each host's C(host_address) and C(host_extra_addresses) are read.
    type: dict
    required: true
  operators:
    description: Networks that V(operators) means.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show who may reach what
  ansible.builtin.debug:
    msg: "{{ firewall_rules | euconquisto.composer.firewall_rules(groups, hostvars, firewall_operators) }}"
"""

RETURN = r"""
_value:
  description: >-
    Rules with C(proto), C(port), C(any), C(ipv4), C(ipv6) and C(reason), ordered by protocol and port.
  type: list
  elements: dict
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def firewall_rules(
    rules: Iterable[Mapping[str, Any]],
    groups: Mapping[str, list[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    operators: Iterable[str],
) -> list[dict[str, Any]]:
    """Resolve every rule; raise AnsibleFilterError for one that cannot be meant."""
    resolved: dict[tuple[str, int, str], dict[str, Any]] = {}
    for rule in rules:
        proto, port, reason = _what(rule)
        sources = [rule["from"]] if isinstance(rule["from"], str) else list(rule["from"])
        networks: list[str] = []
        for source in sources:
            networks += _networks(source, rule, groups, hostvars, operators)
        if not networks and "any" not in sources:
            continue
        known = resolved.setdefault(
            (proto, port, reason),
            {"proto": proto, "port": port, "any": False, "ipv4": [], "ipv6": [], "reason": reason},
        )
        known["any"] = known["any"] or "any" in sources
        for network in networks:
            version = ipaddress.ip_network(network).version
            known[f"ipv{version}"] = _collapsed([*known[f"ipv{version}"], network])
    return [resolved[key] for key in sorted(resolved)]


def _what(rule: Mapping[str, Any]) -> tuple[str, int, str]:
    missing = [key for key in ("port", "from", "reason") if not rule.get(key)]
    if missing:
        raise AnsibleFilterError(f"The firewall rule {dict(rule)} lacks {', '.join(missing)}.")
    proto, port, reason = rule.get("proto") or "tcp", int(rule["port"]), str(rule["reason"])
    if proto not in ("tcp", "udp") or not 0 < port < 65536:
        raise AnsibleFilterError(
            f"The firewall rule {dict(rule)} needs a proto of tcp or udp and a port up to 65535."
        )
    if '"' in reason or "\n" in reason or len(reason.encode()) > 120:
        raise AnsibleFilterError(
            f"The reason of the firewall rule {dict(rule)} must be one short line without quotes."
        )
    return proto, port, reason


def _networks(
    source: str,
    rule: Mapping[str, Any],
    groups: Mapping[str, list[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    operators: Iterable[str],
) -> list[str]:
    if source == "any":
        return []
    if source == "operators":
        return [_network(network, "firewall_operators") for network in operators]
    if source in groups:
        return [
            _network(address, f"host_address of {host}")
            for host in groups[source]
            for address in _addresses(host, hostvars[host])
        ]
    try:
        return [str(ipaddress.ip_network(source, strict=False))]
    except ValueError:
        raise AnsibleFilterError(
            f"The firewall rule for port {rule['port']} ({rule['reason']}) is from {source!r}, which is no "
            f"group of this inventory and no network. Groups: {', '.join(sorted(groups))}; or any, operators."
        ) from None


def _addresses(host: str, variables: Mapping[str, Any]) -> list[str]:
    if not variables.get("host_address"):
        raise AnsibleFilterError(
            f"{host} has no host_address; the firewall of other hosts needs it to let {host} in."
        )
    return [variables["host_address"], *variables.get("host_extra_addresses", [])]


def _network(text: str, where: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise AnsibleFilterError(
            f"{where} is {text!r}, which is no address and no network: {error}"
        ) from error


def _collapsed(networks: Iterable[str]) -> list[str]:
    """Without duplicates and parts of each other, in order: nft refuses overlapping elements."""
    return [str(network) for network in ipaddress.collapse_addresses(map(ipaddress.ip_network, networks))]


class FilterModule:
    """The filter plugin `firewall_rules`."""

    def filters(self) -> dict[str, Any]:
        """Name the filter."""
        return {"firewall_rules": firewall_rules}
