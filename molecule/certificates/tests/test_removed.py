"""What is no longer declared no longer asks for certificates, and what cannot be meant changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# One host is enough: the tests before this need both as they are.
testinfra_hosts = ["ansible://certificates-13"]
ROOT = Path(__file__).parents[3]
UNITS = ["composer-certificate-acme.service"]
LEFT = (
    "find /etc/ssl/composer /etc/composer-certificate /usr/local/lib/composer-certificate"
    " /var/lib/composer-certificate /var/lib/composer-acme /var/lib/composer-openbao-certificate"
    " /etc/systemd/system/composer-certificate* /etc/systemd/system/*/composer-certificate* 2>/dev/null"
)
TIMER = "systemctl list-timers --all --no-legend 'composer-certificate-acme*'"


def play(host: Any, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Apply the role to this host again, with other variables."""
    given = [word for name, value in variables.items() for word in ("-e", json.dumps({name: value}))]
    playbook = str(ROOT / "molecule/resources/converge.yml")
    where = ["-i", os.environ["MOLECULE_INVENTORY_FILE"], "--limit", host.backend.get_hostname()]
    return subprocess.run(
        ["ansible-playbook", *where, *options, *given, playbook],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_FORCE_COLOR": "0",
            "MOLECULE_SCENARIO_NAME": "tls",
            "NO_COLOR": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture
def restored(host: Any) -> Iterator[None]:
    yield
    answer = play(host)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    "wrong",
    [
        {"tls_front_acme_email": ""},
        {"tls_front_names": []},
        {"tls_front_names": ["*.lab.test"]},
        {"tls_front_names": ["192.0.2.7"]},
        {"tls_front_acme_server": "http://certificates-public.lab.test/dir"},
    ],
    ids=str,
)
def test_what_no_authority_would_certify_changes_nothing(host: Any, wrong: dict[str, Any]) -> None:
    answer = play(host, **wrong)
    assert answer.returncode != 0 and "changed=0" in answer.stdout
    assert "No certificate can be asked for by ACME" in " ".join(answer.stdout.split())


@pytest.mark.timeout(600)
def test_another_source_is_not_overwritten_by_what_was_asked_for_before(host: Any, restored: None) -> None:
    for number in range(2):
        answer = play(host, tls_front_source="host")
        assert answer.returncode == 0, answer.stdout
        assert ("changed=0" in answer.stdout) == bool(number), answer.stdout
    assert host.run(TIMER).stdout.strip() == ""
    assert "acme" not in host.run(f"{LEFT.replace(' /var/lib/composer-acme', '')} | grep -v lib/").stdout
    assert host.run("systemctl list-unit-files --no-legend 'composer-certificate-acme*'").stdout == ""
    # HAProxy may still show it.
    assert host.run("test -s /etc/ssl/composer/front.crt").succeeded


@pytest.mark.timeout(600)
def test_a_host_from_which_it_is_removed_keeps_nothing_of_it(host: Any, restored: None) -> None:
    assert host.run(LEFT).stdout
    for number in range(2):
        answer = play(host, tls_state="absent")
        assert answer.returncode == 0, answer.stdout
        assert ("changed=0" in answer.stdout) == bool(number), answer.stdout
    assert host.run(LEFT).stdout == ""
    assert host.run(TIMER).stdout.strip() == ""
