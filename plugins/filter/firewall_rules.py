# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Turn declared firewall rules (who may reach which port, why, and who asked for it) into addresses."""

from __future__ import annotations

DOCUMENTATION = r"""
name: firewall_rules
short_description: Turn declared firewall rules into addresses
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Replaces the groups that a rule names by the addresses of their hosts, separated by IP version.
  - A rule whose groups have no hosts is for nobody and is left out.
  - Rules that contradict each other are refused, and those for the ssh port, which is for operators alone.
options:
  _input:
    description:
      - Rules with C(port), C(from), C(reason) and optionally C(proto) (V(tcp) or V(udp)) and C(asked_by),
        which names who declared the rule. C(from) is V(any), a set such as V(operators), an inventory group,
        an address or network, or a list of these.
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
  sets:
    description: Names of the sets that rules may name.
    type: list
    elements: str
    required: true
  peer:
    description: V(from) for rules about who comes in, V(to) for rules about where this host may go.
    type: str
    default: from
    choices: [from, to]
  ssh_port:
    description: The port that no rule may be about; V(0) when there is none.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Show who may reach what
  ansible.builtin.debug:
    msg: "{{ firewall_rules | euconquisto.composer.firewall_rules(groups, hostvars, ['operators']) }}"
"""

RETURN = r"""
_value:
  description: >-
    Rules with C(proto), C(port), C(any), C(sets), C(ipv4), C(ipv6) and C(comment), which says who asked
    and why; ordered by protocol, port and reason.
  type: list
  elements: dict
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.euconquisto.composer.plugins.plugin_utils.addresses import by_version, networks_of

# What nft accepts of a comment: NFTNL_UDATA_COMMENT_MAXLEN less its final zero.
COMMENT_BYTES = 127


def firewall_rules(
    rules: Iterable[Mapping[str, Any]],
    groups: Mapping[str, list[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    sets: Iterable[str],
    peer: str = "from",
    ssh_port: int = 0,
) -> list[dict[str, Any]]:
    """Resolve every rule; raise AnsibleFilterError for one that cannot be meant."""
    known_sets = set(sets)
    peers: dict[tuple[str, int, str], set[str]] = {}
    askers: dict[tuple[str, int, str], set[str]] = {}
    for rule in rules:
        proto, port, reason = what = _what(rule, peer)
        if (proto, port) == ("tcp", ssh_port):
            raise AnsibleFilterError(
                f"{_named(rule)} is about the ssh port, which is for firewall_operators alone."
            )
        peers.setdefault(what, set()).update([rule[peer]] if isinstance(rule[peer], str) else rule[peer])
        askers.setdefault(what, set()).add(str(rule.get("asked_by") or "inventory"))
    resolved = []
    for what in sorted(peers):
        proto, port, reason = what
        comment = f"{', '.join(sorted(askers[what]))}: {reason}"
        others = sorted(peers[what] - known_sets - {"any"})
        where = f"The firewall rule for {proto} port {port} ({comment})"
        made = {
            "proto": proto,
            "port": port,
            "any": "any" in peers[what],
            "sets": sorted(peers[what] & known_sets),
            **by_version(n for other in others for n in networks_of(other, groups, hostvars, where)),
            "comment": comment.encode()[:COMMENT_BYTES].decode(errors="ignore"),
        }
        if made["any"] or made["sets"] or made["ipv4"] or made["ipv6"]:
            resolved.append(made)
    if peer == "from":
        _refuse_contradictions(resolved)
    return resolved


def _refuse_contradictions(rules: Iterable[Mapping[str, Any]]) -> None:
    """One door cannot be open to everybody and to some only: who asked for the latter relies on it."""
    doors: dict[tuple[str, int], Mapping[str, Any]] = {}
    for rule in rules:
        other = doors.setdefault((rule["proto"], rule["port"]), rule)
        if other["any"] != rule["any"]:
            wide, narrow = (rule, other) if rule["any"] else (other, rule)
            raise AnsibleFilterError(
                f"Firewall rules contradict each other: {rule['proto']} port {rule['port']} is open "
                f"to some only ({narrow['comment']}) and to everybody ({wide['comment']})."
            )


def _what(rule: Mapping[str, Any], peer: str) -> tuple[str, int, str]:
    missing = [key for key in ("port", peer, "reason") if not rule.get(key)]
    if missing:
        raise AnsibleFilterError(f"{_named(rule)} lacks {', '.join(missing)}.")
    proto, reason = rule.get("proto") or "tcp", str(rule["reason"])
    try:
        port = int(rule["port"])
    except ValueError:
        port = 0
    if proto not in ("tcp", "udp") or not 0 < port < 65536:
        raise AnsibleFilterError(f"{_named(rule)} needs proto tcp or udp and a port from 1 to 65535.")
    if any(mark in reason for mark in '"\\\n'):
        raise AnsibleFilterError(f"{_named(rule)}: write the reason in one line and without quotes.")
    return proto, port, reason


def _named(rule: Mapping[str, Any]) -> str:
    return f"The firewall rule {dict(rule)}"


class FilterModule:
    """The filter plugin `firewall_rules`."""

    def filters(self) -> dict[str, Any]:
        """Name the filter."""
        return {"firewall_rules": firewall_rules}
