"""A front door gets its certificate by itself, renews it in time, and keeps what it has when that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

UNITS = ["composer-certificate-acme.service", "composer-certificate.service", "haproxy.service"]
FOLDER = "/etc/ssl/composer"
SETTINGS = "/etc/composer-certificate/acme.json"
RUNS = "[Service]\\nExecStart=/usr/bin/sleep infinity\\n"
RENEW = "systemctl start composer-certificate-acme"
#: The watch has told of what changed last, and looks out for what changes next.
SETTLED = "systemctl start composer-certificate && ! systemctl is-active --quiet composer-certificate"
PROOF = "/.well-known/acme-challenge"
SCRIPT = Path(__file__).parents[1] / "old_pair.py"


def name_of(host: Any) -> str:
    return f"{host.backend.get_hostname()}.lab.test"


def public_root(onlooker: Any) -> str:
    """The root of the public authority, which it makes anew at each start."""
    return str(onlooker.run("curl -sSk -m 10 https://localhost:15000/roots/0").stdout)


def fingerprint(host: Any) -> str:
    return str(host.run(f"openssl x509 -noout -fingerprint -sha256 -in {FOLDER}/front.crt").stdout)


def shows_what_it_has(host: Any) -> bool:
    """Whether the watch lets the front door show its new certificate, within a limit."""
    door = f"openssl s_client -connect 127.0.0.1:443 -servername {name_of(host)} </dev/null 2>/dev/null"
    asked = f"{door} | openssl x509 -noout -fingerprint -sha256 | grep -qxF '{fingerprint(host).strip()}'"
    return bool(host.run(f'timeout 30 sh -c "until {asked}; do sleep 0.2; done"').succeeded)


def journal(host: Any) -> str:
    return str(host.run("journalctl -u composer-certificate-acme -n 30 -o cat").stdout)


def process(host: Any, unit: str) -> str:
    return str(host.run(f"systemctl show -P MainPID {unit}").stdout.strip())


def age(host: Any, days: int = 10) -> str:
    """As if the certificate had been got long ago, and so many days were left; returns its fingerprint."""
    assert host.run(f"cat > /root/old_pair.py <<'END'\n{SCRIPT.read_text()}\nEND").succeeded
    kept = host.check_output("ls -d /var/lib/composer-acme/*/certificates")
    places = f"{kept}/{name_of(host)} {FOLDER}/front"
    aged = host.run(f"/usr/bin/python3 /root/old_pair.py {name_of(host)} {days} {places}")
    assert aged.succeeded, aged.stderr
    return fingerprint(host)


def declare(host: Any, **changed: Any) -> None:
    """Other settings than those which the role wrote."""
    settings = json.loads(host.file(SETTINGS).content_string)
    text = json.dumps({**settings, **changed})
    assert host.run(f"cat > {SETTINGS} <<'END'\n{text}\nEND").succeeded


@pytest.fixture
def restored(host: Any) -> Iterator[None]:
    """Whatever a test does to settings or files, a certificate is there again afterwards."""
    host.run(f"cp -p {SETTINGS} /root/acme.json")
    yield
    host.run(f"cp -p /root/acme.json {SETTINGS}; systemctl reset-failed 'composer-certificate*'")
    assert host.run(RENEW).succeeded, journal(host)


@pytest.fixture
def users(host: Any) -> Iterator[None]:
    for name in ("front-user", "host-user"):
        host.run(f"printf '{RUNS}' > /run/systemd/system/{name}.service")
    host.run("systemctl daemon-reload; systemctl start front-user host-user")
    yield
    host.run("systemctl stop front-user host-user; rm /run/systemd/system/{front,host}-user.service")
    host.run("systemctl daemon-reload")


def test_a_caller_that_trusts_the_public_authority_is_let_in(host: Any, onlooker: Any) -> None:
    onlooker.run(f"cat > /root/public-root.crt <<'END'\n{public_root(onlooker)}\nEND")
    answer = onlooker.run(
        f"curl -sS -m 10 --cacert /root/public-root.crt -o /dev/null https://{name_of(host)}/health/live"
    )
    assert answer.succeeded, answer.stderr


def test_inside_the_host_shows_its_own_certificate(host: Any) -> None:
    inside = host.run(
        f"curl -sS -m 10 --cacert {FOLDER}/authority.crt --cert {FOLDER}/host.crt --key {FOLDER}/host.key"
        " -o /dev/null https://localhost:8404/health"
    )
    assert inside.succeeded, inside.stderr


def test_a_good_certificate_is_not_asked_for_again(host: Any) -> None:
    before = fingerprint(host)
    assert host.run(RENEW).succeeded
    assert fingerprint(host) == before


def test_the_timer_looks_by_itself(host: Any) -> None:
    timer = host.run("systemctl list-timers --no-legend composer-certificate-acme.timer").stdout
    assert "composer-certificate-acme.service" in timer and not timer.startswith("-")


def test_its_successor_comes_in_time_and_reaches_exactly_those_who_use_it(
    host: Any, onlooker: Any, restored: None, users: None
) -> None:
    old = age(host)
    assert shows_what_it_has(host)
    assert host.run(SETTLED).succeeded
    user, bystander = process(host, "front-user"), process(host, "host-user")
    assert host.run(RENEW).succeeded, journal(host)
    assert fingerprint(host) != old and shows_what_it_has(host)
    assert host.run(SETTLED).succeeded
    assert process(host, "front-user") != user
    assert process(host, "host-user") == bystander
    test_a_caller_that_trusts_the_public_authority_is_let_in(host, onlooker)


def test_prometheus_is_told_of_the_new_end(host: Any, restored: None) -> None:
    age(host)
    assert host.run(SETTLED).succeeded
    assert host.run(RENEW).succeeded
    ends = host.run(
        f'date -d "$(openssl x509 -in {FOLDER}/front.crt -noout -enddate | cut -d= -f2)" +%s'
    ).stdout
    told = (
        f"grep -q 'front.crt.* {ends.strip()}$' /var/lib/prometheus/node-exporter/composer-certificates.prom"
    )
    assert host.run(f'timeout 30 sh -c "until {told}; do sleep 0.2; done"').succeeded


def test_when_the_authority_is_away_the_old_one_stays_and_it_is_said(host: Any, restored: None) -> None:
    old = age(host)
    declare(host, server="https://certificates-public.lab.test:14999/dir")
    assert host.run(RENEW).failed
    assert fingerprint(host) == old and shows_what_it_has(host)
    assert host.run("systemctl is-failed composer-certificate-acme").succeeded
    said = journal(host)
    assert "No new certificate from https://certificates-public.lab.test:14999/dir" in said
    assert "keeps the certificate that it has" in said


def test_a_name_that_is_not_this_front_doors_is_not_certified(host: Any, restored: None) -> None:
    old = fingerprint(host)
    declare(host, names=[name_of(host), "certificates-public.lab.test"])
    assert host.run(RENEW).failed
    assert fingerprint(host) == old
    assert "certificates-public.lab.test" in journal(host)


def test_before_the_first_one_the_hosts_certificate_stands_in(host: Any, restored: None) -> None:
    declare(host, server="https://certificates-public.lab.test:14999/dir")
    host.run(f"rm {FOLDER}/front.crt {FOLDER}/front.key")
    assert host.run(RENEW).failed
    assert host.run(
        f"cmp {FOLDER}/front.crt {FOLDER}/host.crt && cmp {FOLDER}/front.key {FOLDER}/host.key"
    ).succeeded
    assert shows_what_it_has(host)


def test_one_that_has_expired_is_of_no_more_use_than_the_hosts(host: Any, restored: None) -> None:
    age(host, days=-1)
    declare(host, server="https://certificates-public.lab.test:14999/dir")
    assert host.run(RENEW).failed
    assert host.run(f"cmp {FOLDER}/front.crt {FOLDER}/host.crt").succeeded


def offer(host: Any, token: str) -> None:
    """What an ACME client does while it asks."""
    place = f"/root/proof{PROOF}"
    text = f"proof-of-{name_of(host)}"
    host.run(f"rm -rf /root/proof; mkdir -p {place} && echo {text} > {place}/{token}")
    served = "/usr/bin/python3 -m http.server 889 --bind 127.0.0.1 --directory /root/proof"
    assert host.run(f"systemd-run --collect --unit=proof {served}").succeeded
    listening = "until ss -Hltn sport = :889 | grep -q .; do sleep 0.1; done"
    assert host.run(f"timeout 15 sh -c '{listening}'").succeeded


@pytest.fixture
def proof(host: Any, hosts: Any) -> Iterator[None]:
    offer(host, "token")
    yield
    for door in hosts:
        door.run("systemctl stop proof")


@pytest.mark.parametrize("others_ask_too", [False, True])
def test_the_authority_finds_the_proof_at_whichever_front_door_it_comes_to(
    host: Any, hosts: Any, onlooker: Any, proof: None, others_ask_too: bool
) -> None:
    others = [door for door in hosts if name_of(door) != name_of(host)] if others_ask_too else []
    for other in others:
        # With a proof of its own, and 404 for that of another.
        offer(other, "other-token")
    # Often enough that each of them is asked first.
    for door in [*hosts] * 3:
        answer = onlooker.run(f"curl -sS -m 10 http://{onlooker.address_of(door)}{PROOF}/token")
        assert answer.stdout.strip() == f"proof-of-{name_of(host)}"


def test_nothing_but_a_proof_is_passed_on(host: Any, onlooker: Any, proof: None) -> None:
    door = f"http://{onlooker.address_of(host)}"
    code = "-o /dev/null -w '%{http_code} %{redirect_url}'"
    for path in (
        "/",
        f"{PROOF}/",
        f"{PROOF}/token/more",
        f"{PROOF}/../acme-challenge/token",
        f"{PROOF}x/token",
    ):
        answer = onlooker.run(f"curl -sS -m 10 --path-as-is {code} '{door}{path}'")
        assert answer.stdout.startswith(f"308 https://{name_of(host)}"), path
    posted = onlooker.run(f"curl -sS -m 10 -X POST -d x {code} '{door}{PROOF}/token'")
    assert posted.stdout.startswith("308 ")


def test_without_a_proof_it_is_said_that_there_is_none(host: Any, onlooker: Any) -> None:
    answer = onlooker.run(f"curl -sS -m 10 http://{onlooker.address_of(host)}{PROOF}/token")
    assert '"code":"no_proof"' in answer.stdout


def test_only_root_reads_the_keys(host: Any) -> None:
    assert host.run(f"runuser -u nobody -g ssl-cert -- cat {FOLDER}/front.key").failed
    assert host.run("runuser -u nobody -- ls /var/lib/composer-acme").failed


def test_nobody_but_root_can_offer_a_proof(host: Any) -> None:
    taken = host.run("runuser -u nobody -- timeout 5 /usr/bin/python3 -m http.server 889 --bind 127.0.0.1")
    assert taken.failed and "PermissionError" in taken.stderr
