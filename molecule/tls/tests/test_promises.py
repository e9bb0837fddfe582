"""Hosts prove who they are to each other, and nobody else can pretend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

UNITS = ["composer-certificate.path", "composer-certificate.service", "composer-certificate-metrics.service"]
SERVER = (
    "openssl s_server -quiet -accept 9443 -cert /etc/ssl/composer/host.crt -key /etc/ssl/composer/host.key"
    " -cert_chain /etc/ssl/composer/host.crt -CAfile /etc/ssl/composer/authority.crt"
    " -Verify 1 -verify_return_error -www"
)
# The certificate, with the issuers that follow it in its file.
CHAIN = "-untrusted /etc/ssl/composer/host.crt /etc/ssl/composer/host.crt"
CERTIFICATE = "--cert /etc/ssl/composer/host.crt --key /etc/ssl/composer/host.key"


@pytest.fixture(scope="module", autouse=True)
def server(host: Any) -> Iterator[None]:
    """A server that wants a client's certificate."""
    host.run(f"systemd-run --collect --unit=tls-server {SERVER}")
    listening = "until ss -Hltn sport = :9443 | grep -q .; do sleep 0.1; done"
    assert host.run(f"timeout 15 sh -c '{listening}'").succeeded
    yield
    host.run("systemctl stop tls-server")


@pytest.mark.parametrize("name", ["{short}", "{short}.lab.test", "{address}", "front.lab.test", "192.0.2.7"])
def test_a_neighbour_verifies_the_host_by_every_name(host: Any, neighbour: Any, name: str) -> None:
    address = neighbour.address_of(host)
    name = name.format(short=host.backend.get_hostname(), address=address)
    answer = neighbour.run(
        f"curl -sS -m 10 {CERTIFICATE} --connect-to {name}:9443:{address}:9443 -o /dev/null https://{name}:9443/"
    )
    assert answer.succeeded, answer.stderr


def test_the_host_is_refused_under_a_name_it_does_not_have(host: Any, neighbour: Any) -> None:
    target = (
        f"--connect-to other.lab.test:9443:{neighbour.address_of(host)}:9443 https://other.lab.test:9443/"
    )
    answer = neighbour.run(f"curl -sS -m 10 {CERTIFICATE} {target}")
    assert answer.failed and "other.lab.test" in answer.stderr


def test_a_caller_without_a_certificate_is_refused(host: Any, neighbour: Any) -> None:
    # A client that listens before it speaks hears the reason whatever the timing.
    server = f"{neighbour.address_of(host)}:9443"
    said = neighbour.run(f"timeout 10 openssl s_client -ign_eof -connect {server} </dev/null 2>&1")
    assert "alert certificate required" in said.stdout


def test_programs_trust_the_authority_without_being_told(host: Any) -> None:
    assert host.run(f"openssl verify -purpose sslserver {CHAIN}").succeeded


def test_the_certificate_serves_as_a_clients_too(host: Any) -> None:
    assert host.run(f"openssl verify -purpose sslclient {CHAIN}").succeeded


def test_only_root_and_the_group_of_key_readers_can_read_the_key(host: Any) -> None:
    assert host.run("runuser -u nobody -- cat /etc/ssl/composer/host.key").failed
    assert host.run("runuser -u nobody -g ssl-cert -- cat /etc/ssl/composer/host.key").succeeded
    assert host.run("runuser -u nobody -g ssl-cert -- sh -c 'echo >> /etc/ssl/composer/host.key'").failed


def test_the_front_doors_key_is_roots_alone(host: Any) -> None:
    assert host.run("runuser -u nobody -g ssl-cert -- cat /etc/ssl/composer/front.key").failed
    assert host.run("test -s /etc/ssl/composer/front.key").succeeded


def test_a_public_certificate_does_not_let_anybody_in(host: Any) -> None:
    """The front door's authority is no authority of the inside, whoever else it certifies."""
    verify = (
        "openssl verify -purpose sslclient -no-CApath -no-CAstore -CAfile /etc/ssl/composer/authority.crt"
    )
    assert host.run(f"{verify} {CHAIN}").succeeded
    assert host.run(f"{verify} {CHAIN.replace('host.crt', 'front.crt')}").failed


def test_the_authoritys_key_is_on_no_host(host: Any) -> None:
    assert host.run("find / -xdev -name authority.key").stdout == ""
