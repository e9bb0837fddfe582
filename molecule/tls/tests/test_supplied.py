"""What cannot be used changes nothing, a dry run changes nothing, and what is removed is gone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# What is judged is judged on the controller, so one host is enough.
testinfra_hosts = ["ansible://tls-13"]
ROOT = Path(__file__).parents[3]
COMPANY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "company"
STATE = "sha256sum /etc/ssl/composer/* /usr/local/share/ca-certificates/*; stat -c %y /etc/ssl/composer/*"
LEFT = (
    "find /etc/ssl/composer /etc/composer-certificate /usr/local/lib/composer-certificate"
    " /var/lib/composer-certificate /usr/local/share/ca-certificates/composer-*"
    " /etc/systemd/system/composer-certificate* /etc/systemd/system/*/composer-certificate*"
    " /var/lib/prometheus/node-exporter/composer-* 2>/dev/null"
)


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
            "NO_COLOR": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_peer_that_is_no_certificate_changes_nothing(host: Any) -> None:
    before = host.run(STATE).stdout
    answer = play(host, tls_peer_authorities=["nonsense"])
    assert answer.returncode != 0 and "would be invalid" in answer.stdout, answer.stdout
    assert host.run(STATE).stdout == before


def supplied(name: str, key: str) -> dict[str, str]:
    return {
        "tls_source": "files",
        "tls_certificate_file": str(COMPANY / f"{name}.crt"),
        "tls_key_file": str(COMPANY / f"{key}.key"),
        "tls_authority_file": str(COMPANY / "root.crt"),
    }


def test_a_certificate_that_cannot_be_used_changes_nothing(host: Any) -> None:
    before = host.run(STATE).stdout
    answer = play(host, **supplied("unusable", "other"))
    said = " ".join(answer.stdout.split())
    assert answer.returncode != 0, answer.stdout
    # All that is wrong is told at once.
    for reason in (
        "does not belong to the certificate",
        "expired on",
        "lacks tls-13,",
        "Nothing was changed",
    ):
        assert reason in said, answer.stdout
    assert "changed=0" in said
    assert host.run(STATE).stdout == before


def test_a_dry_run_shows_the_new_certificate_and_not_its_key(host: Any) -> None:
    before = host.run(STATE).stdout
    answer = play(host, "--check", "--diff", "-vvv", **supplied("other", "other"))
    assert answer.returncode == 0, answer.stdout
    assert "BEGIN CERTIFICATE" in answer.stdout and "[secret: new content, not shown]" in answer.stdout
    keys = [*COMPANY.glob("*.key"), *COMPANY.parent.glob("authority/hosts/*/host.key")]
    shown = [path for path in keys if path.read_text().splitlines()[1] in answer.stdout]
    assert keys and not shown
    assert host.run(STATE).stdout == before


@pytest.fixture
def restored(host: Any) -> Iterator[None]:
    yield
    answer = play(host)
    assert answer.returncode == 0, answer.stdout


# Each play has a limit of its own.
@pytest.mark.timeout(600)
def test_a_host_from_which_it_is_removed_keeps_nothing_of_it(host: Any, restored: None) -> None:
    assert host.run(LEFT).stdout
    for number in range(2):
        answer = play(host, tls_state="absent")
        assert answer.returncode == 0, answer.stdout
        assert ("changed=0" in answer.stdout) == bool(number)
    assert host.run(LEFT).stdout == ""
    trusted = host.run(
        "openssl crl2pkcs7 -nocrl -certfile /etc/ssl/certs/ca-certificates.crt | "
        "openssl pkcs7 -print_certs -noout | grep -c -e 'Company root' -e 'Composer private'"
    )
    assert trusted.stdout.strip() == "0"
    assert "composer-certificate" not in host.run("systemctl list-units --all 'composer-certificate*'").stdout
