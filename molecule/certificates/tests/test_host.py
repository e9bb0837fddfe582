"""A host gets its certificate from OpenBao by itself: its own and nobody else's, in time, never a bad one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

UNITS = ["composer-certificate-openbao.service", "composer-certificate.service", "openbao.service"]
FOLDER = "/etc/ssl/composer"
SETTINGS = "/etc/composer-certificate/openbao.json"
ACME_SERVER = "/etc/composer-certificate/acme-server.crt"
IDENTITY = "/etc/composer-secrets/identity.json"
RUNS = "[Service]\\nExecStart=/usr/bin/sleep infinity\\n"
RENEW = "systemctl start composer-certificate-openbao"
SCRIPT = Path(__file__).parents[1] / "old_pair.py"
URL = "https://certificates-12.lab.test:8200/v1"
VERIFY = f"openssl verify -no-CApath -no-CAstore -CAfile {FOLDER}/authority.crt"


def shown(host: Any, what: str) -> str:
    return str(host.run(f"openssl x509 -noout {what} -in {FOLDER}/host.crt").stdout)


def fingerprint(host: Any) -> str:
    return shown(host, "-fingerprint -sha256")


def journal(host: Any) -> str:
    return str(host.run("journalctl -u composer-certificate-openbao -n 30 -o cat").stdout)


def process(host: Any, unit: str) -> str:
    return str(host.run(f"systemctl show -P MainPID {unit}").stdout.strip())


def settle(host: Any) -> None:
    """Wait until the watch has told everybody of what changed last."""
    assert host.run("systemctl start composer-certificate").succeeded


def declare(host: Any, **changed: Any) -> None:
    """Other settings than those which the role wrote."""
    settings = json.loads(host.file(SETTINGS).content_string)
    text = json.dumps({**settings, **changed})
    assert host.run(f"cat > {SETTINGS} <<'END'\n{text}\nEND").succeeded


def ask(host: Any, role: str, names: str) -> str:
    """What OpenBao answers to this host's own identity when it asks a role for names."""
    script = f"""
        set -e
        call() {{ curl -sS -m 20 --cacert {FOLDER}/authority.crt "$@"; }}
        token=$(call -d @{IDENTITY} {URL}/auth/approle/login | jq -r .auth.client_token)
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj /CN=$1 \
          -addext "subjectAltName=$2" 2>/dev/null | jq -Rs '{{csr: .}}' |
          call -d @- -H "X-Vault-Token: $token" {URL}/pki/sign/$3
    """
    common = names.split(",", maxsplit=1)[0].removeprefix("DNS:").removeprefix("IP:")
    answer = host.run("sh -c %s ask %s %s %s", script, common, names, role)
    assert answer.succeeded, answer.stderr
    return str(answer.stdout)


@pytest.fixture
def restored(host: Any) -> Iterator[None]:
    """Whatever a test does to settings or files, a certificate from OpenBao is there again afterwards."""
    host.run(f"cp -p {SETTINGS} /root/openbao.json; cp -p {IDENTITY} /root/identity.json")
    yield
    host.run(f"cp -p /root/openbao.json {SETTINGS}; cp -p /root/identity.json {IDENTITY}")
    host.run("systemctl reset-failed 'composer-certificate*'")
    assert host.run(RENEW).succeeded, journal(host)
    settle(host)


@pytest.fixture
def users(host: Any) -> Iterator[None]:
    for name in ("front-user", "host-user"):
        host.run(f"printf '{RUNS}' > /run/systemd/system/{name}.service")
    host.run("systemctl daemon-reload; systemctl start front-user host-user")
    yield
    host.run("systemctl stop front-user host-user; rm /run/systemd/system/{front,host}-user.service")
    host.run("systemctl daemon-reload")


def age(host: Any) -> str:
    """As if it had been got long ago: ten of ninety days are left. Returns its fingerprint."""
    assert host.run(f"cat > /root/old_pair.py <<'END'\n{SCRIPT.read_text()}\nEND").succeeded
    name = host.backend.get_hostname()
    assert host.run(f"/usr/bin/python3 /root/old_pair.py {name} 10 {FOLDER}/host").succeeded
    assert host.run(f"chgrp ssl-cert {FOLDER}/host.key && chmod 0640 {FOLDER}/host.key").succeeded
    return fingerprint(host)


def test_it_is_the_hosts_own_and_serves_in_both_directions(host: Any) -> None:
    assert "Composer hosts" in shown(host, "-issuer")
    assert host.backend.get_hostname() in shown(host, "-ext subjectAltName")
    for purpose in ("sslserver", "sslclient"):
        chain = f"-untrusted {FOLDER}/host.crt {FOLDER}/host.crt"
        assert host.run(f"{VERIFY} -purpose {purpose} {chain}").succeeded


def test_hosts_verify_each_other_by_it(host: Any, hosts: Any, onlooker: Any) -> None:
    for other in hosts:
        answer = host.run(
            f"curl -sS -m 10 --cacert {FOLDER}/authority.crt"
            f" --cert {FOLDER}/host.crt --key {FOLDER}/host.key -o /dev/null https://{other.backend.get_hostname()}.lab.test:8404/health"
        )
        assert answer.succeeded, answer.stderr


def test_the_key_has_never_been_elsewhere(host: Any) -> None:
    """The controller has that of the certificate with which the host began, and no other."""
    kept = host.run(f"openssl pkey -in {FOLDER}/host.key -pubout").stdout
    home = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "authority/hosts"
    first = (home / host.backend.get_hostname() / "host.crt").read_text()
    known = host.run("printf '%%s' %s | openssl x509 -noout -pubkey", first).stdout
    assert "PUBLIC KEY" in kept and "PUBLIC KEY" in known and kept != known
    assert host.run("ls -A /var/lib/composer-openbao-certificate | grep key").stdout == ""


def test_the_key_is_readable_as_before(host: Any) -> None:
    assert host.run(f"runuser -u nobody -- cat {FOLDER}/host.key").failed
    assert host.run(f"runuser -u nobody -g ssl-cert -- cat {FOLDER}/host.key").succeeded


def test_a_host_is_given_its_own_names_only(host: Any, hosts: Any) -> None:
    name = host.backend.get_hostname()
    own = f"certificate-{name}"
    assert "certificate" in json.loads(ask(host, own, f"DNS:{name}"))["data"]
    other = next(one for one in hosts if one.backend.get_hostname() != name)
    stranger = other.backend.get_hostname()
    address = other.ansible.get_variables()["ansible_host"]
    for further in (f"DNS:{stranger}", f"IP:{address}", f"DNS:x.{name}", "DNS:*." + name):
        assert "not allowed" in ask(host, own, f"DNS:{name},{further}"), further
    assert "not allowed" in ask(host, own, f"DNS:{stranger}")
    # Nor can it use the other's role.
    assert "permission denied" in ask(host, f"certificate-{stranger}", f"DNS:{stranger}")


def test_its_successor_comes_in_time_and_reaches_exactly_those_who_use_it(
    host: Any, restored: None, users: None
) -> None:
    settle(host)
    front = process(host, "front-user")
    # The watch must not tell the services of this one, which nobody trusts.
    host.run("systemctl stop composer-certificate.path composer-certificate.timer")
    old, user = age(host), process(host, "host-user")
    assert host.run(RENEW).succeeded, journal(host)
    assert host.run("systemctl start composer-certificate.path composer-certificate.timer").succeeded
    assert fingerprint(host) != old and "Composer hosts" in shown(host, "-issuer")
    settle(host)
    assert process(host, "host-user") != user
    assert process(host, "front-user") == front


def test_a_good_one_is_not_asked_for_again(host: Any) -> None:
    before = fingerprint(host)
    assert host.run(RENEW).succeeded
    assert fingerprint(host) == before


def test_the_timer_looks_by_itself(host: Any) -> None:
    timer = host.run("systemctl list-timers --no-legend composer-certificate-openbao.timer").stdout
    assert "composer-certificate-openbao.service" in timer and not timer.startswith("-")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"names": ["{name}", "somebody.else.test"]}, "not allowed by this role"),
        ({"role": "certificate-nobody"}, "permission denied"),
        ({"url": "https://certificates-12.lab.test:8299", "wait_seconds": 1}, "cannot be reached"),
        ({"authority": ACME_SERVER, "wait_seconds": 1}, "certificate verify failed"),
    ],
    ids=["a name that is not its own", "a role that is not its own", "OpenBao is away", "another server"],
)
def test_when_nothing_usable_comes_the_old_one_stays_and_it_is_said(
    host: Any, restored: None, changed: dict[str, Any], reason: str
) -> None:
    before = fingerprint(host)
    if "names" in changed:
        changed = {"names": [name.format(name=host.backend.get_hostname()) for name in changed["names"]]}
    declare(host, **{"issuer": "Somebody else", **changed})
    assert host.run(RENEW).failed
    assert fingerprint(host) == before
    assert host.run("systemctl is-failed composer-certificate-openbao").succeeded
    assert reason in journal(host) and "keeps the certificate that it has" in journal(host)


def test_an_identity_that_is_refused_is_said_without_being_told(host: Any, restored: None) -> None:
    identity = json.loads(host.file(IDENTITY).content_string)
    wrong = json.dumps({**identity, "secret_id": "c4nary-secret-id"})
    assert host.run(f"cat > {IDENTITY} <<'END'\n{wrong}\nEND").succeeded
    declare(host, issuer="Somebody else")
    before = fingerprint(host)
    assert host.run(RENEW).failed
    assert fingerprint(host) == before
    assert "auth/approle/login" in journal(host) and "c4nary" not in journal(host)


SPOILT = """
    set -e
    export BAO_ADDR=https://127.0.0.1:8200 BAO_CACERT=/etc/ssl/composer/authority.crt
    login="username=provisioner password=c4nary-provisioner-password"
    BAO_TOKEN=$(bao login -token-only -method=userpass $login)
    export BAO_TOKEN
"""
SPOIL = """
    bao secrets disable other
    bao secrets enable -path=other pki
    bao write other/root/generate/internal common_name=Other key_type=ec key_bits=256
    bao write other/roles/any allow_any_name=true ttl=1h key_type=ec key_bits=256
    bao write pki/roles/nameless allow_any_name=true use_csr_sans=false key_type=ec key_bits=256
    for path in other/sign/any pki/sign/nameless; do
      echo "path \\"$path\\" { capabilities = [\\"update\\"] }"
    done | bao policy write $1 -
"""
MEND = """
    bao secrets disable other
    bao delete pki/roles/nameless
    echo "path \\"pki/sign/$1\\" { capabilities = [\\"update\\"] }" | bao policy write $1 -
"""


@pytest.fixture
def spoilt(host: Any, hosts: Any) -> Iterator[None]:
    """An OpenBao that certifies what the hosts cannot use, and lets this host ask for it."""
    policy = f"certificate-{host.backend.get_hostname()}"
    server = next(one for one in hosts if one.backend.get_hostname() == "certificates-12")
    done = server.run("sh -c %s spoil %s", SPOILT + SPOIL, policy)
    assert done.succeeded, done.stderr
    yield
    done = server.run("sh -c %s mend %s", SPOILT + MEND, policy)
    assert done.succeeded, done.stderr


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"mount": "other", "role": "any"}, "the hosts do not trust it"),
        ({"role": "nameless"}, "it lacks"),
    ],
    ids=["of another root", "without the names"],
)
def test_an_answer_that_the_hosts_could_not_use_is_refused(
    host: Any, restored: None, spoilt: None, changed: dict[str, Any], reason: str
) -> None:
    before = fingerprint(host)
    declare(host, issuer="Somebody else", **changed)
    assert host.run(RENEW).failed
    assert fingerprint(host) == before
    assert "what OpenBao gave cannot be used" in journal(host) and reason in journal(host)
