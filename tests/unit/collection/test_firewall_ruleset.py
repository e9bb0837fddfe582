"""The rendered ruleset: who gets in and out, in milliseconds. Molecule lets the kernel judge it too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
ROLE = CHECKOUT / "roles/firewall"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
COUNTERS = yaml.safe_load((ROLE / "vars/main.yml").read_text())["_firewall_counters"]
OPERATORS = {"ipv4": ["198.51.100.0/24"], "ipv6": ["2001:db8:1::/48"]}
NOBODY: dict[str, list[str]] = {"ipv4": [], "ipv6": []}


def render(**settings: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROLE / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    variables = {
        **DEFAULTS,
        "ansible_managed": "managed",
        "_firewall_counters": COUNTERS,
        "_firewall_sets": {"operators": OPERATORS, "blocked": NOBODY},
        "_firewall_rules": [],
        "_firewall_forward_rules": [],
        "_firewall_outgoing": [],
        **settings,
    }
    return environment.get_template("etc/composer-firewall/candidate.nft.j2").render(variables)


def rule(**more: Any) -> dict[str, Any]:
    base = {"proto": "tcp", "port": 9100, "any": False, "sets": [], "ipv4": [], "ipv6": []}
    return {**base, "comment": "node_exporter: host metrics", **more}


def chain(name: str, ruleset: str) -> list[str]:
    body = ruleset.split(f"chain {name} {{")[1].split("\n\t}")[0]
    return [line.strip() for line in body.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_only_its_own_table_is_replaced() -> None:
    ruleset = render()
    assert re.findall(r"^(?:delete )?table .*?(?= \{|$)", ruleset, re.MULTILINE) == [
        "table inet composer",
        "delete table inet composer",
        "table inet composer",
    ]
    assert "flush ruleset" not in ruleset


@pytest.mark.parametrize(("hook", "counter"), [("input", "undeclared"), ("forward", "forward")])
def test_what_is_not_declared_is_counted_and_refused(hook: str, counter: str) -> None:
    lines = chain(hook, render())
    assert lines[0] == f"type filter hook {hook} priority filter; policy drop;"
    assert lines[-1] == f'counter name "{counter}" goto refused'


def test_without_rules_only_ssh_and_the_network_itself_get_in() -> None:
    assert [line for line in chain("input", render()) if "dport" in line] == [
        "tcp dport 22 ct state vmap { established : accept, new : goto ssh }",
        'ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment "DHCPv6 answers"',
    ]


def test_a_rule_lets_its_sources_in_by_version_and_says_who_asked() -> None:
    lines = chain("input", render(_firewall_rules=[rule(ipv4=["192.0.2.20/32"], ipv6=["2001:db8::20/128"])]))
    said = 'tcp dport 9100 accept comment "node_exporter: host metrics"'
    assert f"ip saddr {{ 192.0.2.20/32 }} {said}" in lines
    assert f"ip6 saddr {{ 2001:db8::20/128 }} {said}" in lines


def test_a_rule_for_a_set_follows_the_set() -> None:
    lines = chain("input", render(_firewall_rules=[rule(sets=["operators"])]))
    said = 'tcp dport 9100 accept comment "node_exporter: host metrics"'
    assert f"ip saddr @operators_ipv4 {said}" in lines and f"ip6 saddr @operators_ipv6 {said}" in lines


def test_a_door_for_everybody_has_no_source_and_a_limit_by_address() -> None:
    ruleset = render(_firewall_rules=[rule(port=443, any=True, comment="haproxy: front door")])
    assert 'tcp dport 443 goto everybody comment "haproxy: front door"' in chain("input", ruleset)
    (ipv4, ipv6, last) = chain("everybody", ruleset)
    assert "ip saddr limit rate over 200/second burst 1000 packets" in ipv4
    assert "ip6 saddr and ffff:ffff:ffff:ffff:: limit rate over 200/second" in ipv6
    assert last == "accept"


def test_ssh_is_limited_and_only_for_operators() -> None:
    ruleset = render()
    lines = chain("ssh", ruleset)
    assert lines[0] == 'ip saddr != @operators_ipv4 counter name "ssh_source" goto refused'
    assert "limit rate over 60/minute burst 60 packets" in lines[2]
    assert "elements = { 198.51.100.0/24 }" in ruleset and "elements = { 2001:db8:1::/48 }" in ruleset


def test_an_operator_comes_before_the_blocked_and_the_blocked_before_what_is_established() -> None:
    lines = chain("input", render())
    order = [
        next(number for number, line in enumerate(lines) if beginning in line)
        for beginning in ("goto ssh", "@blocked_ipv4", "ct state vmap { established : accept, related")
    ]
    assert order == sorted(order)


def test_what_leaves_undeclared_is_only_counted_unless_told_otherwise() -> None:
    lines = chain("output", render())
    assert lines[0] == "type filter hook output priority filter; policy accept;"
    assert lines[-1].startswith('counter name "output_undeclared" comment')


def test_what_leaves_undeclared_is_refused_at_once_when_told_so() -> None:
    ruleset = render(
        firewall_output_policy="drop",
        _firewall_outgoing=[rule(port=5432, ipv4=["192.0.2.20/32"], comment="composer_mcp: database")],
    )
    lines = chain("output", ruleset)
    assert lines[0] == "type filter hook output priority filter; policy drop;"
    assert lines[-2:] == [
        'ip daddr { 192.0.2.20/32 } tcp dport 5432 accept comment "composer_mcp: database"',
        'counter name "output" goto refused_here',
    ]
    assert chain("refused_here", ruleset)[-1] == "reject with icmpx admin-prohibited"


def test_every_counter_used_is_declared() -> None:
    used = set(re.findall(r'counter name "(\w+)"', render() + render(firewall_output_policy="drop")))
    assert used == set(COUNTERS)


def test_refusal_and_logging_follow_their_variables() -> None:
    assert "reject with tcp reset" in chain("refused", render(firewall_refusal="reject"))[1]
    assert "log prefix" not in render(firewall_log_refused=False)
