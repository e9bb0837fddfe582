"""The preflight playbook refuses, on the controller and for all roles at once, what cannot be meant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.tracked import ROOT

SITE: dict[str, Any] = {
    "all": {
        "hosts": {"host1": {"host_address": "192.0.2.11"}},
        "vars": {
            "firewall_operators": ["192.0.2.1"],
            "tls_domain": "example.org",
            "composer_public_url": "https://composer.example.org/mcp",
            # OpenBao is run by somebody else.
            "openbao_issuer": "https://vault.example.org:8200",
            "openbao_provisioner_password": "not of interest here",
            "secrets_provisioning_host": "host1",
        },
        "children": {
            name: {} for name in ("edge", "app", "core", "openbao", "postgresql", "object_store", "observer")
        },
    }
}


def judged(folder: Path, **values: Any) -> str:
    """What the playbook says of one host that has only the host layer, in one line."""
    inventory = folder / "hosts.yml"
    inventory.write_text(json.dumps(SITE), encoding="utf-8")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, "playbooks/preflight.yml", "-i", str(inventory), "-e", json.dumps(values)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return " ".join((done.stdout + done.stderr).split())


def test_a_host_that_is_well_described_passes(tmp_path: Path) -> None:
    told = judged(tmp_path)
    assert "failed=0" in told and "problem" not in told


def test_every_role_names_what_it_refuses_before_any_host_is_touched(tmp_path: Path) -> None:
    told = judged(
        tmp_path,
        hardening_umask="777",
        tls_valid_days=0,
        node_exporter_port=70000,
        firewall_confirm_seconds=5,
        firewall_operators=[],
        patch_lock_seconds=-1,
    )
    assert "5 problems in the inventory; nothing was changed on any host" in told
    for part in (
        "hardening: hardening_umask is 777",
        "tls: tls_valid_days is 0",
        "node_exporter: node_exporter_port is 70000",
        "firewall: firewall_operators is empty, so nobody could log in any more;",
        "firewall_confirm_seconds is 5",
        "patch: patch_lock_seconds is -1",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"firewall_operators": ["192.0.2.1/24"]}, "has host bits set"),
        ({"firewall_blocked": ["192.0.2.11"]}, "blocked"),
        ({"firewall_sets": {"operators": ["192.0.2.9"]}}, "firewall_sets names operators or blocked"),
        ({"firewall_extra_rules": [{"port": 99999, "from": "any", "reason": "x"}]}, "99999"),
        (
            {
                "firewall_extra_rules": [
                    {"port": 81, "from": "any", "reason": "x"},
                    {"port": 81, "from": "app", "reason": "y"},
                    {"port": 81, "from": "192.0.2.9", "reason": "z"},
                ]
            },
            "contradict each other",
        ),
    ],
    ids=["cidr", "blocks a host of the platform", "a set of the role", "port", "contradiction"],
)
def test_rules_and_sets_that_cannot_be_meant_stop_there_too(
    tmp_path: Path, values: dict[str, Any], reason: str
) -> None:
    told = judged(tmp_path, **values)
    assert "1 problem in the inventory; nothing was changed on any host" in told
    assert "- firewall: " in told and reason in told
