"""What cannot be used changes nothing, a dry run changes nothing, and what is removed is gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Play

Apply = Callable[..., tuple[int, str]]

# What is judged is judged on the controller, so one host is enough.
testinfra_hosts = ["ansible://tls-13"]
COMPANY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "company"
STATE = "sha256sum /etc/ssl/composer/* /usr/local/share/ca-certificates/*; stat -c %y /etc/ssl/composer/*"
LEFT = (
    "find /etc/ssl/composer /etc/composer-certificate /usr/local/lib/composer-certificate"
    " /var/lib/composer-certificate /usr/local/share/ca-certificates/composer-*"
    " /etc/systemd/system/composer-certificate* /etc/systemd/system/*/composer-certificate*"
    " /var/lib/prometheus/node-exporter/composer-* 2>/dev/null"
)


@pytest.fixture
def apply(host: Any, play: Play) -> Apply:
    """Apply the role to this host again, with other variables: how it ended, and all that was said."""

    def run(*options: str, **variables: Any) -> tuple[int, str]:
        done = play("--limit", host.backend.get_hostname(), *options, **variables)
        return done.returncode, done.stdout + done.stderr

    return run


def test_a_peer_that_is_no_certificate_changes_nothing(host: Any, apply: Apply) -> None:
    before = host.run(STATE).stdout
    code, said = apply(tls_peer_authorities=["nonsense"])
    assert code != 0 and "would be invalid" in said, said
    assert host.run(STATE).stdout == before


def supplied(name: str, key: str) -> dict[str, str]:
    return {
        "tls_source": "files",
        "tls_certificate_file": str(COMPANY / f"{name}.crt"),
        "tls_key_file": str(COMPANY / f"{key}.key"),
        "tls_authority_file": str(COMPANY / "root.crt"),
    }


def test_a_certificate_that_cannot_be_used_changes_nothing(host: Any, apply: Apply) -> None:
    before = host.run(STATE).stdout
    code, said = apply(**supplied("unusable", "other"))
    said = " ".join(said.split())
    assert code != 0, said
    # All that is wrong is told at once.
    for reason in (
        "does not belong to the certificate",
        "expired on",
        "lacks tls-13,",
        "Nothing was changed",
    ):
        assert reason in said, said
    assert "changed=0" in said
    assert host.run(STATE).stdout == before


def test_a_dry_run_shows_the_new_certificate_and_not_its_key(host: Any, apply: Apply) -> None:
    before = host.run(STATE).stdout
    code, said = apply("--check", "--diff", "-vvv", **supplied("other", "other"))
    assert code == 0, said
    assert "BEGIN CERTIFICATE" in said and "[secret: new content, not shown]" in said
    keys = [*COMPANY.glob("*.key"), *COMPANY.parent.glob("authority/hosts/*/host.key")]
    shown = [path for path in keys if path.read_text().splitlines()[1] in said]
    assert keys and not shown
    assert host.run(STATE).stdout == before


@pytest.fixture
def restored(apply: Apply) -> Iterator[None]:
    yield
    code, said = apply()
    assert code == 0, said


# Each play has a limit of its own.
@pytest.mark.timeout(600)
def test_a_host_from_which_it_is_removed_keeps_nothing_of_it(host: Any, apply: Apply, restored: None) -> None:
    assert host.run(LEFT).stdout
    for number in range(2):
        code, said = apply(tls_state="absent")
        assert code == 0, said
        assert ("changed=0" in said) == bool(number)
    assert host.run(LEFT).stdout == ""
    trusted = host.run(
        "openssl crl2pkcs7 -nocrl -certfile /etc/ssl/certs/ca-certificates.crt | "
        "openssl pkcs7 -print_certs -noout | grep -c -e 'Company root' -e 'Composer private'"
    )
    assert trusted.stdout.strip() == "0"
    assert "composer-certificate" not in host.run("systemctl list-units --all 'composer-certificate*'").stdout
