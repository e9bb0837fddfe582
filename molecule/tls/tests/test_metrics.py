"""Prometheus knows when the certificates of a host expire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

UNITS = ["composer-certificate.timer", "composer-certificate-metrics.service"]
FOLDER = "/var/lib/prometheus/node-exporter"
EXPORTER = (
    "/usr/bin/prometheus-node-exporter --web.listen-address=127.0.0.1:9191 --collector.disable-defaults"
    f" --collector.textfile --collector.textfile.directory={FOLDER}"
)
EXPIRY = "composer_certificate_expiry_timestamp_seconds"


@pytest.fixture
def exporter(host: Any) -> Iterator[None]:
    assert host.run(f"systemd-run --collect --unit=tls-exporter {EXPORTER}").succeeded
    assert host.run(
        "timeout 15 sh -c 'until ss -Hltn sport = :9191 | grep -q .; do sleep 0.1; done'"
    ).succeeded
    yield
    host.run("systemctl stop tls-exporter")


def scraped(host: Any) -> str:
    return str(host.run("curl -sS -m 10 http://127.0.0.1:9191/metrics").stdout)


@pytest.mark.parametrize("name", ["host.crt", "front.crt"])
def test_the_end_of_each_certificate_is_exported(host: Any, exporter: None, name: str) -> None:
    assert host.run("systemctl start composer-certificate-metrics").succeeded
    path = f"/etc/ssl/composer/{name}"
    ends = host.run(f'date -d "$(openssl x509 -in {path} -noout -enddate | cut -d= -f2)" +%s').stdout.strip()
    found = [line for line in scraped(host).splitlines() if line.startswith(f'{EXPIRY}{{file="{path}"')]
    assert float(ends) in [float(line.split()[-1]) for line in found]
    assert "node_textfile_scrape_error 0" in scraped(host)


def test_a_file_that_cannot_be_read_is_told_beside_the_others(host: Any, exporter: None) -> None:
    path = "/etc/ssl/composer/authority.crt"
    host.run(
        f"systemctl stop composer-certificate.path; cp -p {path} /root/authority.crt; echo nonsense > {path}"
    )
    try:
        assert host.run("systemctl start composer-certificate-metrics").failed
        told = scraped(host)
    finally:
        host.run(f"cp -p /root/authority.crt {path}; systemctl reset-failed composer-certificate-metrics")
        host.run("systemctl start composer-certificate-metrics composer-certificate.path")
    assert f'composer_certificate_readable{{file="{path}"}} 0' in told
    assert f'{EXPIRY}{{file="/etc/ssl/composer/host.crt"' in told


def test_the_timer_tells_it_by_itself(host: Any) -> None:
    timer = host.run("systemctl list-timers --no-legend composer-certificate.timer").stdout
    assert "composer-certificate.service" in timer and not timer.startswith("-")
    host.run(f"rm -f {FOLDER}/composer-certificates.prom")
    assert host.run("systemctl start composer-certificate.service").succeeded
    written = f"until [ -e {FOLDER}/composer-certificates.prom ]; do sleep 0.1; done"
    assert host.run(f"timeout 15 sh -c '{written}'").succeeded


def test_without_node_exporter_nothing_is_made_and_nothing_fails(host: Any) -> None:
    host.run(f"mv {FOLDER} /root/node-exporter")
    try:
        assert host.run("systemctl start composer-certificate-metrics").succeeded
        assert host.run(f"test -e {FOLDER}").failed
    finally:
        host.run(f"mv /root/node-exporter {FOLDER}")
