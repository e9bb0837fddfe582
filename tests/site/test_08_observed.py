"""Who is called at night finds a call on every host by one question, and sees how hard the hosts work."""

import json
import time
import uuid

import httpx2
import pytest
from site_lab import PATIENCE_SECONDS, POLL_SECONDS, lesson

FILES = "--cacert /etc/ssl/composer/authority.crt"
CERTIFICATE = "--cert /etc/ssl/composer/host.crt --key /etc/ssl/composer/host.key"
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "create_composition",
}


def call(site, bearer: str) -> tuple[str, str]:
    """Make a composition; return the call's correlation id and its idempotency key."""
    key = uuid.uuid4().hex
    arguments = {"lesson": lesson(f"observed {key}"), "idempotency_key": key}
    about = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "site", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "create_composition", "arguments": arguments, "_meta": about},
    }
    headers = HEADERS | {"Authorization": f"Bearer {bearer}"}
    with httpx2.Client(verify=site.tls, trust_env=False, timeout=150) as http:
        answer = http.post(site.lab.url, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["X-Correlation-Id"], key


def entries(host, *matches: str) -> list[dict[str, str]]:
    """The entries of a host's journal with these fields, as an operator asks for them."""
    said = host.ask(f"journalctl --no-pager --output=json --all {' '.join(matches)}")
    return [json.loads(line) for line in said.splitlines()]


def until_on(hosts, *matches: str) -> dict[str, str]:
    """Wait for such an entry on one of the hosts."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        for host in hosts:
            if found := entries(host, *matches):
                return found[0]
        assert time.monotonic() < deadline, f"no entry {matches} on {[host.name for host in hosts]}"
        time.sleep(POLL_SECONDS)


def test_a_call_is_found_by_its_correlation_id_from_the_gateway_to_the_worker(site, bearer):
    identity, key = call(site, bearer)
    match = f"CORRELATION_ID={identity}"
    applications = [site.host("app1"), site.host("app2")]
    edge = until_on([site.host("edge1")], match, "COMPOSER_EVENT=call")
    web = until_on(applications, match, "COMPOSER_EVENT=http.request")
    worker = until_on(applications, match, "COMPOSER_EVENT=job.finished")
    assert edge["_SYSTEMD_UNIT"] == "haproxy.service" and edge["COMPOSER_STATUS"] == "200"
    assert web["_SYSTEMD_UNIT"].startswith("composer-web@") and web["COMPOSER_TOOL"] == "create_composition"
    assert worker["_SYSTEMD_UNIT"].startswith("composer-worker@")
    assert worker["COMPOSER_OUTCOME"] == "succeeded"
    assert worker["COMPOSER_JOB"] == site.jobs(f"select id from job where idempotency_key = '{key}'")
    assert web["COMPOSER_TENANT"] == worker["COMPOSER_TENANT"]
    # The whole line is there as well, for whoever reads rather than searches.
    for entry in (edge, web, worker):
        assert json.loads(entry["MESSAGE"])["correlation_id"] == identity


@pytest.mark.parametrize("host", ["app1", "app2"])
def test_a_host_says_how_hard_it_works_to_the_observer_and_to_nobody_else(site, host):
    observer = site.host("core1")
    url = f"https://{host}.lab.test:8101/pressure"
    found = json.loads(observer.ask(f"curl -sS --fail --max-time 10 {FILES} {CERTIFICATE} {url}"))
    assert 0 <= found["pressure"] <= 100 and 1 <= found["weight"] <= 100
    assert found["browsers"]["capacity"] >= 2 and found["queue"]["limit"] > 0
    assert observer.run(f"curl -sS --fail --max-time 10 {FILES} {url}").returncode != 0
    with httpx2.Client(verify=site.tls, trust_env=False, timeout=30) as http:
        assert http.get(site.lab.url.removesuffix("/mcp") + "/pressure").status_code == 404
