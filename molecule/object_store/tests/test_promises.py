"""What the application and operators may rely on of the store of artifacts."""

from __future__ import annotations

import pytest

UNITS = ["object-store", "object-store-proxy"]
COMPOSER = "c4nary-access:c4nary-secret"
ADMIN = "c4nary-admin-access:c4nary-admin-secret"


class Client:
    """curl on the application host, signing its requests."""

    def __init__(self, host, neighbour):
        self.host = neighbour
        self.url = f"https://{host.backend.get_hostname()}.lab.test:8333"

    def run(self, method, path, identity=COMPOSER, body=None, options=""):
        """One request; returns status and answer. `body` is sent as it is."""
        sign = f"--aws-sigv4 aws:amz:us-east-1:s3 --user '{identity}'" if identity else ""
        data = f"--data-binary '{body}'" if body is not None else ""
        tls = "--cacert /etc/ssl/composer/authority.crt"
        answer = self.host.run(
            f"curl -sS --max-time 60 {tls} -X {method} {sign} {data} {options} "
            f"-w '\\n%{{http_code}}' {self.url}{path}"
        )
        assert answer.rc == 0, answer.stderr
        text, _, status = answer.stdout.rpartition("\n")
        return int(status), text


@pytest.fixture
def client(host, neighbour):
    return Client(host, neighbour)


def test_the_application_stores_and_reads_over_verified_tls(client):
    assert client.run("PUT", "/composer-artifacts/a/1", body="preview")[0] == 200
    assert client.run("GET", "/composer-artifacts/a/1") == (200, "preview")
    status, listing = client.run("GET", "/composer-artifacts?list-type=2")
    assert status == 200
    assert "<Key>a/1</Key>" in listing


def test_an_object_is_created_once(client):
    once = "-H 'If-None-Match: *'"
    client.run("DELETE", "/composer-artifacts/once")
    assert client.run("PUT", "/composer-artifacts/once", body="first", options=once)[0] == 200
    assert client.run("PUT", "/composer-artifacts/once", body="second", options=once)[0] == 412
    assert client.run("GET", "/composer-artifacts/once") == (200, "first")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_without_a_signature_nothing_is_served(client, method):
    assert client.run(method, "/composer-artifacts/a/1", identity=None)[0] == 403


def test_a_wrong_key_is_refused(client):
    assert client.run("GET", "/composer-artifacts/a/1", identity="c4nary-access:wrong")[0] == 403


def test_the_application_makes_no_buckets_and_reads_no_others(client):
    assert client.run("PUT", "/another")[0] == 403
    assert client.run("PUT", "/foreign", identity=ADMIN)[0] == 200
    assert client.run("GET", "/foreign?list-type=2")[0] == 403
    assert client.run("DELETE", "/foreign", identity=ADMIN)[0] == 204


def test_it_speaks_nothing_but_tls(client):
    answer = client.host.run(f"curl -sS {client.url.replace('https', 'http')}/composer-artifacts/a/1")
    assert "Client sent an HTTP request to an HTTPS server" in answer.stdout


def test_nothing_but_the_s3_port_is_open_not_even_on_the_host_itself(host):
    # 8333 S3, 9333 master, 8080 volume, 8888 filer, 10000 more each for gRPC, 8181 and 9101 catalogues
    listening = {
        line.split()[3].rsplit(":", 1)[1]
        for line in host.check_output("ss -Hltn").splitlines()
        if line.split()
    }
    assert "8333" in listening
    assert not listening & {"9333", "19333", "8080", "18080", "8888", "18888", "18333", "8181", "9101"}


def test_it_has_no_way_out_to_report_to_its_makers(host):
    process = host.check_output("systemctl show -p MainPID --value object-store")
    routes = host.check_output(f"nsenter --target {process} --net ip route show table main")
    links = host.check_output(f"nsenter --target {process} --net ip -brief link").splitlines()
    assert routes == ""
    assert [link.split()[0] for link in links] == ["lo"]
    assert "-master.telemetry=false" in host.check_output(f"tr '\\0' ' ' < /proc/{process}/cmdline")


def test_objects_survive_a_restart_and_clients_only_wait(host, client):
    client.run("PUT", "/composer-artifacts/kept", body="kept")
    host.run_test("systemctl restart --no-block object-store")
    assert client.run("GET", "/composer-artifacts/kept") == (200, "kept")
    host.run_test("systemctl restart object-store")
    assert client.run("GET", "/composer-artifacts/kept") == (200, "kept")


def test_killed_it_comes_back_by_itself(host, client):
    client.run("PUT", "/composer-artifacts/kept", body="kept")
    before = host.check_output("systemctl show -p MainPID --value object-store")
    host.run_test("systemctl kill --signal=KILL --kill-whom=main object-store")
    # Open connections break, as with any server that dies; the next try succeeds.
    again = "--retry 30 --retry-delay 1 --retry-all-errors --fail"
    assert client.run("GET", "/composer-artifacts/kept", options=again) == (200, "kept")
    assert host.check_output("systemctl show -p MainPID --value object-store") != before


def test_it_is_back_after_a_reboot(host):
    assert host.service("object-store").is_enabled
    assert host.run("systemctl is-enabled object-store-proxy.socket").stdout.strip() == "enabled"


def test_no_key_is_anywhere_but_where_it_must_be(host):
    identities = host.file("/run/object-store/identities.json")
    assert (identities.user, identities.mode) == ("object-store", 0o400)
    nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    places = {
        "journal": "journalctl --boot --no-pager | grep 'c4nar[y]'",
        "command lines": "cat /proc/[0-9]*/cmdline | grep -a 'c4nar[y]'",
        "environments": "cat /proc/[0-9]*/environ | grep -a 'c4nar[y]'",
        "units": "grep -r 'c4nar[y]' /etc/systemd /run/systemd/system",
        "world-readable files": f"{nobody} grep -rlI --exclude-dir=lists 'c4nar[y]' /etc /var /run /tmp",
    }
    assert [place for place, search in places.items() if host.run(search).stdout] == []
