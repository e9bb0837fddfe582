"""The rendered ruleset: default drop, who gets in, in milliseconds. Molecule lets the kernel judge it too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2

CHECKOUT = Path(__file__).resolve().parents[3]
TEMPLATE = "etc/composer-firewall/candidate.nft.j2"


def render(rules: list[dict[str, Any]] | None = None, **settings: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(CHECKOUT / "roles/firewall/templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    operators = {"ipv4": ["198.51.100.0/24"], "ipv6": []}
    variables = {
        "ansible_managed": "managed",
        "firewall_ssh_port": 22,
        "firewall_ssh_rate_per_minute": 60,
        "firewall_ssh_burst": 60,
        "firewall_refusal": "drop",
        "firewall_log_refused": True,
        "_firewall_operator_rule": [operators],
        "_firewall_rules": rules or [],
        **settings,
    }
    return environment.get_template(TEMPLATE).render(variables)


def rule(**more: Any) -> dict[str, Any]:
    base = {"proto": "tcp", "port": 9100, "any": False, "ipv4": [], "ipv6": [], "reason": "host metrics"}
    return {**base, **more}


def input_chain(ruleset: str) -> list[str]:
    body = ruleset.split("chain input {")[1].split("\n\t}")[0]
    return [line.strip() for line in body.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_only_its_own_table_is_replaced() -> None:
    ruleset = render()
    assert re.findall(r"^(?:delete )?table .*?(?= \{|$)", ruleset, re.MULTILINE) == [
        "table inet composer",
        "delete table inet composer",
        "table inet composer",
    ]
    assert "flush ruleset" not in ruleset and "hook forward" not in ruleset


def test_what_is_not_declared_is_refused() -> None:
    chain = input_chain(render())
    assert chain[0] == "type filter hook input priority filter; policy drop;"
    assert chain[-1] == "goto refused"


def test_without_rules_only_ssh_and_the_network_itself_get_in() -> None:
    accepted = [line for line in input_chain(render()) if "accept" in line or "goto ssh" in line]
    assert [line for line in accepted if "dport" in line] == [
        'ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment "DHCPv6 answers"',
        "tcp dport 22 ct state new goto ssh",
    ]


def test_a_rule_lets_its_sources_in_by_version() -> None:
    chain = input_chain(render([rule(ipv4=["192.0.2.20/32"], ipv6=["2001:db8::20/128"])]))
    assert 'ip saddr { 192.0.2.20/32 } tcp dport 9100 accept comment "host metrics"' in chain
    assert 'ip6 saddr { 2001:db8::20/128 } tcp dport 9100 accept comment "host metrics"' in chain


def test_a_rule_for_everybody_has_no_source() -> None:
    assert 'tcp dport 443 accept comment "front door"' in input_chain(
        render([rule(port=443, any=True, reason="front door")])
    )


def test_ssh_is_limited_and_only_for_operators() -> None:
    ruleset = render()
    assert "elements = { 198.51.100.0/24 }" in ruleset
    assert "ip saddr != @operators_ipv4 goto refused" in ruleset
    assert "limit rate over 60/minute burst 60 packets" in ruleset


def test_refusal_and_logging_follow_their_variables() -> None:
    assert "reject with tcp reset" in render(firewall_refusal="reject")
    assert "log prefix" not in render(firewall_log_refused=False)
