"""From a neighbour, everything is closed that no role declared, and what is declared speaks TLS only."""

import json

import pytest

FILES = "--cacert /etc/ssl/composer/authority.crt"
CERTIFICATE = "--cert /etc/ssl/composer/host.crt --key /etc/ssl/composer/host.key"
# What an application host may reach, and nothing else. ssh (22) and metrics (9100, 8404) are for others.
DECLARED = {
    "core1": {"5432": "PostgreSQL", "8200": "OpenBao", "8333": "object store"},
    "edge1": {"80": "redirect", "443": "front door"},
}


@pytest.fixture(scope="module", params=sorted(DECLARED))
def doors(request, site):
    """Every port of a host as `app1` finds it, if its own firewall let everything out."""
    target = request.param
    with site.host("app1").unhindered():
        found = site.host("app1").python("doors", site.host(target).address, f"{target}.lab.test")
    return target, found


def test_of_all_ports_only_the_declared_ones_are_open(doors):
    target, found = doors
    assert set(found) == set(DECLARED[target]), json.dumps(found, indent=1)


def test_open_ports_answer_with_verified_tls_and_tell_nothing_without_it(doors):
    target, found = doors
    for port, answer in found.items():
        what = f"{target}:{port} ({DECLARED[target][port]}): {answer}"
        if DECLARED[target][port] == "redirect":
            status, _, headers = answer["plain"].partition("\r\n")
            assert status.split()[1] in ("301", "308"), what
            assert "location: https://" in headers.lower(), what
        elif DECLARED[target][port] == "PostgreSQL":
            assert answer["offers_tls"] == "S", what
            # an error, before any question for a password
            assert answer["startup"].startswith("E"), what
            assert "no encryption" in answer["startup"] or "SSL" in answer["startup"], what
        else:
            assert answer["tls"] in ("TLSv1.2", "TLSv1.3"), what
            # silence, a TLS alert, or the sentence that this is not the way; never content
            first = answer["plain"].partition("\r\n")[0]
            assert not first or first.startswith("\x15\x03") or " 400 " in first, what


def test_the_web_process_answers_no_one_without_a_client_certificate(site):
    edge = site.host("edge1")
    # one port only: 8101 is the slot in use
    refused = edge.run(f"curl -sS --max-time 10 {FILES} https://app1.lab.test:8101/health/live")
    # TLS 1.3 tells the caller after the handshake: as an alert, or as a connection that is cut
    assert refused.returncode in (35, 56), refused
    assert not refused.stdout
    assert edge.ask(
        f"curl -sS --fail --max-time 10 {FILES} {CERTIFICATE} https://app1.lab.test:8101/health/live"
    )


def test_the_web_process_is_closed_to_its_neighbours(site):
    with site.host("app2").unhindered():
        other = site.host("app2").run(
            f"curl -sS --max-time 5 {FILES} {CERTIFICATE} https://app1.lab.test:8101/health/live"
        )
    assert other.returncode in (7, 28), other


@pytest.mark.parametrize("host", ["edge1", "app1", "app2", "core1"])
def test_metrics_are_for_the_observer_with_its_certificate(site, host):
    observer = site.host("core1")
    url = f"https://{host}.lab.test:9100/metrics"
    refused = observer.run(f"curl -sS --max-time 10 {FILES} {url}")
    assert refused.returncode != 0
    assert "node_" not in refused.stdout
    metrics = observer.ask(f"curl -sS --fail --max-time 10 {FILES} {CERTIFICATE} {url}")
    assert "node_memory_MemTotal_bytes" in metrics
