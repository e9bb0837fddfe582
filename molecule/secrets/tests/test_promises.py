"""What services and operators may rely on when it comes to secrets on a host."""

from __future__ import annotations

import json

import pytest

UNITS = ["composer-secrets", "openbao"]
URL = "https://secrets-12.lab.test:8200/v1"
CURL = "curl -sS --cacert /etc/ssl/composer/authority.crt"
FETCH = "/usr/bin/python3 -I /usr/local/lib/composer-secrets/fetch"
FILES = {"secrets-12": ["database-password"], "secrets-13": ["composer-project-key", "composer-token"]}
FOREIGN = {"secrets-12": "composer-service/account", "secrets-13": "database/composer"}


def name_of(host):
    return host.backend.get_hostname()


def identity_of(host):
    return json.loads(host.check_output("cat /etc/composer-secrets/identity.json"))


def login(on, identity):
    """Log in with an identity from some host; returns the answer."""
    return json.loads(on.run(f"{CURL} -d '{json.dumps(identity)}' {URL}/auth/approle/login").stdout)


def as_provisioner(host, method, path, data=None):
    """One request to the secret server as its administrator."""
    password = '{"password":"c4nary-provisioner-password"}'
    answer = json.loads(host.check_output(f"{CURL} -d '{password}' {URL}/auth/userpass/login/provisioner"))
    body = f"-d '{json.dumps(data)}'" if data else ""
    token = answer["auth"]["client_token"]
    text = host.check_output(f"{CURL} -X {method} -H 'X-Vault-Token: {token}' {body} {URL}/{path}")
    return json.loads(text) if text else {}


@pytest.fixture
def server(request):
    """The host of the secret server."""
    import testinfra

    inventory = request.config.getoption("ansible_inventory")
    return testinfra.get_host("ansible://secrets-12", ansible_inventory=inventory)


def test_each_secret_is_a_file_for_root_alone_and_nothing_else_is_there(host):
    assert sorted(host.file("/run/composer-secrets").listdir()) == FILES[name_of(host)]
    assert host.file("/run/composer-secrets").mode == 0o700
    for name in FILES[name_of(host)]:
        file = host.file(f"/run/composer-secrets/{name}")
        assert (file.user, file.mode) == ("root", 0o400)
        assert file.size > 0


def test_files_are_in_memory_only(host):
    assert host.check_output("stat --file-system --format=%T /run/composer-secrets") == "tmpfs"


def test_a_host_cannot_read_another_hosts_secrets(host):
    token = login(host, identity_of(host))["auth"]["client_token"]
    foreign = host.run(f"{CURL} -H 'X-Vault-Token: {token}' {URL}/composer/data/{FOREIGN[name_of(host)]}")
    assert "permission denied" in foreign.stdout


def test_a_stolen_identity_is_useless_elsewhere(host, neighbour):
    assert "auth" in login(host, identity_of(host))
    assert "auth" not in login(neighbour, identity_of(host))


def test_no_token_outlives_a_fetch(host):
    def tokens():
        return len(as_provisioner(host, "LIST", "auth/token/accessors")["data"]["keys"])

    before = tokens()
    host.run_test(FETCH)
    # The one more is the administrator's own second login.
    assert tokens() == before + 1


def test_secrets_come_back_after_a_reboot_has_emptied_memory(host):
    host.run_test("systemctl stop composer-secrets && rm -rf /run/composer-secrets")
    host.run_test("systemctl start composer-secrets")
    assert sorted(host.file("/run/composer-secrets").listdir()) == FILES[name_of(host)]
    assert host.service("composer-secrets").is_enabled


def test_a_changed_secret_arrives_with_the_next_fetch(host):
    if name_of(host) != "secrets-13":
        pytest.skip("the secret belongs to the other host")
    path = "composer/data/composer-service/account"
    present = as_provisioner(host, "GET", path)["data"]["data"]
    as_provisioner(host, "POST", path, {"data": {**present, "token": "c4nary-new-token"}})
    assert "updated composer-token" in host.check_output(
        "systemctl reload composer-secrets; " + FETCH + "; journalctl -u composer-secrets -o cat | tail -3"
    )
    assert host.file("/run/composer-secrets/composer-token").content_string == "c4nary-new-token"
    as_provisioner(host, "POST", path, {"data": present})
    host.run_test(FETCH)


def test_while_the_server_is_down_earlier_secrets_stay_and_the_reason_is_told(host, server):
    server.run_test("systemctl stop openbao")
    try:
        answer = host.run(FETCH)
        assert answer.rc == 1
        assert "did not serve within 3 s" in answer.stderr
        assert sorted(host.file("/run/composer-secrets").listdir()) == FILES[name_of(host)]
    finally:
        server.run_test("systemctl start openbao")
        health = f"{CURL} --fail --retry 20 --retry-delay 1 --retry-all-errors {URL}/sys/health"
        server.run_test(health)
    assert host.run(FETCH).rc == 0


def test_a_missing_field_is_named(host):
    configuration = "/etc/composer-secrets/fetch.json"
    host.run_test(f"cp -p {configuration} /root/fetch.json")
    try:
        host.run_test(f'sed -i \'s/"field": "[a-z]*"/"field": "colour"/\' {configuration}')
        answer = host.run(FETCH)
        assert answer.rc == 2
        assert "field colour missing" in answer.stderr
        assert sorted(host.file("/run/composer-secrets").listdir()) == FILES[name_of(host)]
    finally:
        host.run_test(f"mv /root/fetch.json {configuration}")


def test_a_refused_identity_says_what_to_do(host):
    identity = "/etc/composer-secrets/identity.json"
    host.run_test(f"cp -p {identity} /root/identity.json")
    try:
        host.run_test(f'sed -i \'s/"secret_id": "./"secret_id": "0/\' {identity}')
        answer = host.run(FETCH)
        if answer.rc == 0:
            pytest.skip("the secret id happened to begin with 0")
        assert answer.rc == 2
        assert "--tags secrets" in answer.stderr
    finally:
        host.run_test(f"mv /root/identity.json {identity}")


def test_no_secret_is_anywhere_but_where_it_must_be(host):
    secrets = [host.check_output(f"cat /run/composer-secrets/{name}") for name in FILES[name_of(host)]]
    secrets.append(identity_of(host)["secret_id"])
    nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    folders = "--exclude-dir=lists /etc /var /run /tmp"
    found = []
    for secret in secrets:
        # The last letter in brackets: the search finds the secret, but not itself among the command lines.
        pattern = f"{secret[:-1]}[{secret[-1]}]"
        places = {
            "journal": f"journalctl --boot --no-pager | grep -- '{pattern}'",
            "command lines": f"cat /proc/[0-9]*/cmdline | grep -a -- '{pattern}'",
            "environments": f"cat /proc/[0-9]*/environ | grep -a -- '{pattern}'",
            "units": f"grep -r -- '{pattern}' /etc/systemd /run/systemd/system",
            "world-readable files": f"{nobody} grep -rlI -e '{pattern}' {folders}",
        }
        found += [place for place, search in places.items() if host.run(search).stdout]
    assert found == []
