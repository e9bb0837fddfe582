"""Host metrics, for those who show a certificate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

UNITS = ["prometheus-node-exporter"]
CERTIFICATE = "--cert /etc/ssl/composer/host.crt --key /etc/ssl/composer/host.key"


def scrape(host: Any, neighbour: Any, options: str, scheme: str = "https") -> Any:
    return neighbour.run(f"curl -sS -m 10 {options} {scheme}://{neighbour.address_of(host)}:9100/metrics")


def test_an_observer_with_a_certificate_reads_the_metrics(host: Any, neighbour: Any) -> None:
    answer = scrape(host, neighbour, CERTIFICATE)
    assert answer.succeeded, answer.stderr
    for metric in (
        "node_memory_MemAvailable_bytes",
        "node_cpu_seconds_total",
        "node_filesystem_avail_bytes",
        "node_timex_sync_status",
    ):
        assert f"\n{metric}" in answer.stdout


def test_a_due_reboot_is_a_metric(host: Any, neighbour: Any) -> None:
    host.run("touch /run/reboot-required")
    assert host.run("systemctl start prometheus-node-exporter-apt.service").succeeded
    figures = scrape(host, neighbour, CERTIFICATE).stdout
    assert re.search(r"^node_reboot_required 1(\.0)?$", figures, re.MULTILINE), figures
    host.run("rm /run/reboot-required")
    assert host.run("systemctl start prometheus-node-exporter-apt.service").succeeded
    figures = scrape(host, neighbour, CERTIFICATE).stdout
    assert re.search(r"^node_reboot_required 0(\.0)?$", figures, re.MULTILINE), figures


def waiting(host: Any, neighbour: Any) -> float:
    """How many packages have a newer version, as an observer is told."""
    assert host.run("systemctl start prometheus-node-exporter-apt.service").succeeded
    figures = scrape(host, neighbour, CERTIFICATE).stdout
    # The newer collector writes no line for updates where none waits.
    assert "\napt_autoremove_pending" in figures
    lines = re.findall(r"^apt_upgrades_pending\{.*\} (\S+)$", figures, re.MULTILINE)
    return sum(float(value) for value in lines)


@pytest.fixture
def outdated(host: Any) -> Iterator[None]:
    """A package whose archive offers a newer version; the lists of other archives stay as they are."""
    archive, source = "/srv/outdated", "/etc/apt/sources.list.d/outdated.list"
    control = "Package: outdated\nVersion: $v\nArchitecture: all\n"
    control += "Maintainer: Nobody <nobody@example.org>\nDescription: to be updated\n"
    script = f"""
        mkdir -p {archive}/tree/DEBIAN; cd {archive}
        for v in 1.0 2.0; do
            printf "{control}" > tree/DEBIAN/control
            dpkg-deb --root-owner-group --build tree outdated_$v.deb
        done
        {{
            dpkg-deb --field outdated_2.0.deb
            echo "Filename: ./outdated_2.0.deb"
            echo "Size: $(stat --format %s outdated_2.0.deb)"
            echo "SHA256: $(sha256sum outdated_2.0.deb | cut -d ' ' -f 1)"
        }} > Packages
        echo "deb [trusted=yes] file:{archive} ./" > {source}
        dpkg --install outdated_1.0.deb
    """
    done = host.run("sh -euc %s", script)
    assert done.succeeded, done.stderr
    yield
    lists = "/var/lib/apt/lists/_srv_outdated_*"
    assert host.run(f"dpkg --purge outdated && rm -rf {archive} {source} {lists}").succeeded


def test_an_update_that_waits_is_a_metric(host: Any, neighbour: Any, outdated: None) -> None:
    before = waiting(host, neighbour)
    only = "-o Dir::Etc::sourcelist=sources.list.d/outdated.list -o Dir::Etc::sourceparts=-"
    done = host.run(f"apt-get update -q {only} -o APT::Get::List-Cleanup=0")
    assert done.succeeded, done.stderr
    assert waiting(host, neighbour) == before + 1
    assert host.run("dpkg --install /srv/outdated/outdated_2.0.deb").succeeded
    assert waiting(host, neighbour) == before


def test_metrics_are_refused_without_a_client_certificate(host: Any, neighbour: Any) -> None:
    answer = scrape(host, neighbour, "")
    assert answer.failed and "node_" not in answer.stdout
    # The reason, told to a client that listens before it speaks; older exporters call it "bad certificate".
    server = f"{neighbour.address_of(host)}:9100"
    said = neighbour.run(f"timeout 10 openssl s_client -ign_eof -connect {server} </dev/null 2>&1")
    assert "alert certificate required" in said.stdout or "alert bad certificate" in said.stdout


def test_metrics_are_refused_to_a_certificate_of_somebody_else(host: Any, neighbour: Any) -> None:
    neighbour.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=stranger"
        " -keyout /root/stranger.key -out /root/stranger.crt"
    )
    answer = scrape(host, neighbour, "--cert /root/stranger.crt --key /root/stranger.key")
    assert answer.failed and "node_" not in answer.stdout


def test_metrics_are_not_served_in_the_clear(host: Any, neighbour: Any) -> None:
    assert "node_" not in scrape(host, neighbour, "", scheme="http").stdout


def test_old_versions_of_tls_are_refused(host: Any, neighbour: Any) -> None:
    assert scrape(host, neighbour, f"{CERTIFICATE} --tls-max 1.2").failed


def test_the_exporter_never_answered_before_it_was_configured(host: Any) -> None:
    """The package starts the service as it is installed."""
    assert "TLS is disabled" not in host.run("journalctl -u prometheus-node-exporter --no-pager").stdout


def test_the_exporter_may_not_read_the_key_of_the_host(host: Any) -> None:
    assert host.run("runuser -u prometheus -- cat /etc/ssl/composer/host.key").failed
