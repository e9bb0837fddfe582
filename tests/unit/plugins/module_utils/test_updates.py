"""What apt, dpkg and needrestart say, read as they say it."""

from __future__ import annotations

import pytest

from ansible_collections.euconquisto.composer.plugins.module_utils.updates import (
    bytes_to_fetch,
    kept_back,
    newer_kernel,
    services,
    told,
    upgrades,
)

SIMULATION = """Reading package lists...
The following packages have been kept back:
  postgresql-17 libheld
  other
The following packages will be upgraded:
  libssl3t64 openssl
2 upgraded, 1 newly installed, 0 to remove and 3 not upgraded.
Inst libssl3t64 [3.5.1-1] (3.5.1-1+deb13u1 Debian-Security:13/stable-security [amd64]) []
Inst openssl [3.5.1-1] (3.5.1-1+deb13u1 Debian-Security:13/stable-security [amd64])
Inst linux-image-6.12.48-amd64 (6.12.48-1 Debian:13/stable [amd64])
Conf libssl3t64 (3.5.1-1+deb13u1 Debian-Security:13/stable-security [amd64])
"""


def test_what_would_be_replaced_and_what_is_new_is_read() -> None:
    assert upgrades(SIMULATION) == [
        {"name": "libssl3t64", "old": "3.5.1-1", "new": "3.5.1-1+deb13u1"},
        {"name": "openssl", "old": "3.5.1-1", "new": "3.5.1-1+deb13u1"},
        {"name": "linux-image-6.12.48-amd64", "old": "", "new": "6.12.48-1"},
    ]


def test_what_is_kept_back_is_read_over_several_lines() -> None:
    assert kept_back(SIMULATION) == ["postgresql-17", "libheld", "other"]
    assert kept_back("0 upgraded\n") == []


def test_the_size_is_the_sum_of_what_is_not_there_yet() -> None:
    addresses = (
        "'http://deb.debian.org/debian/pool/o/openssl/openssl_3.deb' openssl_3.deb 1500000 SHA256:00\n"
        "'file:/srv/repo/a.deb' a.deb 500 \n"
    )
    assert bytes_to_fetch(addresses) == 1500500
    assert bytes_to_fetch("") == 0


def test_services_that_only_a_reboot_replaces_are_apart() -> None:
    batch = (
        "NEEDRESTART-VER: 3.6\nNEEDRESTART-SVC: dbus.service\nNEEDRESTART-SVC: haproxy.service\n"
        "NEEDRESTART-SVC: haproxy.service\nNEEDRESTART-SVC: systemd-manager\n"
        "NEEDRESTART-SVC: user@1000.service\n"
    )
    assert services(batch) == (["haproxy.service", "systemd-manager"], ["dbus.service", "user@1000.service"])


@pytest.mark.parametrize(
    ("running", "images", "newer"),
    [
        ("6.12.9-amd64", ["vmlinuz-6.12.9-amd64", "vmlinuz-6.12.10-amd64", "config-6.13"], "6.12.10-amd64"),
        ("6.12.10-amd64", ["vmlinuz-6.12.9-amd64", "vmlinuz-6.12.10-amd64"], ""),
        ("6.1.0-41-amd64", ["vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-41-amd64"], ""),
        # A container, or a machine whose kernel is given from outside.
        ("6.8.0-cloud", ["vmlinuz-6.12.9-amd64"], ""),
        ("6.8.0-cloud", [], ""),
    ],
)
def test_a_newer_kernel_is_one_that_debian_counts_as_newer(
    running: str, images: list[str], newer: str
) -> None:
    assert newer_kernel(running, images) == newer


def test_complaints_are_told_once_each() -> None:
    output = "E: Failed to fetch http://x  404\nW: a warning\nE: Failed to fetch http://x  404\nnoise\n"
    assert told(output) == ["Failed to fetch http://x  404", "a warning"]
