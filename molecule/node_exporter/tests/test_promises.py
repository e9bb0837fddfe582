"""Host metrics, for those who show a certificate."""

from __future__ import annotations

from typing import Any

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
