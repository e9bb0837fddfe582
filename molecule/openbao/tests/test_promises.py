"""What users and operators may rely on of the secret server."""

from __future__ import annotations

import base64
import json

import pytest

UNITS = ["openbao"]
URL = "https://127.0.0.1:8200/v1"
AUTHORITY = "/etc/ssl/composer/authority.crt"
PROVISIONER = ("provisioner", "c4nary-provisioner-password")
ANA = ("ana", "c4nary-password-of-ana")


def call(host, method, path, token="", data=None):
    """One request to the server from its own host; returns status and decoded answer."""
    body = json.dumps(data or {}).replace("'", "")
    answer = host.run(
        f"printf '%s' '{body}' | curl -sS --cacert {AUTHORITY} -X {method} -H 'X-Vault-Token: {token}' "
        f"{'-d @-' if method == 'POST' else ''} -w '\\n%{{http_code}}' {URL}/{path}"
    )
    assert answer.rc == 0, answer.stderr
    text, _, status = answer.stdout.rpartition("\n")
    return int(status), json.loads(text) if text.strip() else {}


def login(host, who):
    status, answer = call(host, "POST", f"auth/userpass/login/{who[0]}", data={"password": who[1]})
    assert status == 200, answer
    return answer["auth"]["client_token"]


def claims_of(token):
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


def test_a_user_gets_a_token_that_names_tenant_scope_and_audience(host):
    _, answer = call(host, "GET", "identity/oidc/token/composer", login(host, ANA))
    header, claims = claims_of(answer["data"]["token"])
    name = host.check_output("hostname")
    assert header["alg"] == "ES256"
    assert claims["aud"] == "https://composer.lab.test/mcp"
    assert claims["iss"] == f"https://{name}.lab.test:8200/v1/identity/oidc"
    assert (claims["tenant"], claims["scope"]) == ("school-a", "compositions:read jobs:read")
    assert claims["exp"] - claims["iat"] == 3600


def test_anybody_can_fetch_the_keys_that_verify_tokens(host):
    status, answer = call(host, "GET", "identity/oidc/.well-known/keys")
    assert status == 200
    assert answer["keys"]


@pytest.mark.parametrize("path", ["composer/data/database/composer", "sys/mounts", "auth/userpass/users/ana"])
def test_a_user_can_read_nothing_else(host, path):
    status, _ = call(host, "GET", path, login(host, ANA))
    assert status == 403


def test_a_wrong_password_is_refused(host):
    status, _ = call(host, "POST", "auth/userpass/login/ana", data={"password": "wrong"})
    assert status == 400


def test_secrets_that_nobody_invented_are_there_and_differ(host):
    token = login(host, PROVISIONER)
    owner = call(host, "GET", "composer/data/database/composer-owner", token)[1]["data"]["data"]["password"]
    composer = call(host, "GET", "composer/data/database/composer", token)[1]["data"]["data"]["password"]
    assert len(owner) == len(composer) == 40
    assert owner != composer


def test_a_secret_given_by_the_site_is_there(host):
    _, answer = call(host, "GET", "composer/data/composer-service/account", login(host, PROVISIONER))
    assert answer["data"]["data"] == {"token": "c4nary-service-token", "project_key": "c4nary-key"}


def test_after_a_restart_it_serves_again_without_anybody_unsealing_it(host):
    host.run_test("systemctl restart openbao")
    health = (
        f"curl -sS --fail --retry 20 --retry-delay 1 --retry-all-errors --cacert {AUTHORITY} {URL}/sys/health"
    )
    assert json.loads(host.check_output(health))["sealed"] is False


def test_it_speaks_nothing_but_tls(host):
    answer = host.run("curl -sS -w '%{http_code}' http://127.0.0.1:8200/v1/sys/health")
    assert "400" in answer.stdout
    assert "initialized" not in answer.stdout


def test_other_hosts_reach_it_by_its_address_and_can_verify_it(host, neighbour):
    address = neighbour.address_of(host)
    answer = neighbour.run(f"curl -sS --cacert {AUTHORITY} https://{address}:8200/v1/sys/health")
    assert json.loads(answer.stdout)["sealed"] is False


def test_metrics_are_served(host):
    text = host.check_output(
        f"curl -sS --cacert {AUTHORITY} -H 'Accept: application/openmetrics-text' {URL}/sys/metrics"
    )
    assert 'vault_core_unsealed{cluster="composer"} 1' in text


def test_the_first_password_does_not_stay_on_the_host(host):
    assert not host.file("/run/credstore/openbao.provisioner-password").exists
    host.run_test("systemctl restart openbao")
    assert not host.file("/run/credentials/openbao.service/provisioner-password").exists


@pytest.mark.parametrize("secret", ["c4nary-", "c2VhbC1jYW5hcnkt"])
def test_no_secret_is_anywhere_but_where_it_must_be(host, secret):
    # The last letter in brackets: the search finds the secret, but not itself among the command lines.
    pattern = f"{secret[:-1]}[{secret[-1]}]"
    nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    places = {
        "journal": f"journalctl --boot --no-pager | grep -- '{pattern}'",
        "command lines": f"cat /proc/[0-9]*/cmdline | grep -a -- '{pattern}'",
        "environments": f"cat /proc/[0-9]*/environ | grep -a -- '{pattern}'",
        "units": f"grep -r -- '{pattern}' /etc/systemd /run/systemd/system",
        "world-readable files": f"{nobody} grep -rlI --exclude-dir=proc -- '{pattern}' /etc /var /run /tmp",
        "audit log": f"grep -- '{pattern}' /var/log/openbao/audit.log",
    }
    assert [place for place, search in places.items() if host.run(search).stdout] == []


def test_only_the_server_reads_its_data_and_audit_log(host):
    for path in ("/var/lib/openbao", "/var/log/openbao"):
        folder = host.file(path)
        assert (folder.user, folder.mode) == ("openbao", 0o700)
