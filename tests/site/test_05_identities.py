"""Each host has an identity of its own in the secret server; it opens its own secrets, for itself only."""

import json

import pytest

IDENTITY = "/etc/composer-secrets/identity.json"
ALL_PATHS = (
    "database/composer",
    "database/composer-owner",
    "object-store/composer",
    "object-store/admin",
    "application/state-key",
    "application/audit-key",
    "composer-service/account",
)


def listed(site, host: str) -> set[str]:
    """The paths that a host's own list names."""
    return {
        file["path"]
        for file in json.loads(site.host(host).ask("cat /etc/composer-secrets/fetch.json"))["files"]
    }


def test_an_identity_is_of_no_use_on_another_host(site):
    stolen = site.host("app1").ask(f"cat {IDENTITY}")
    own = site.host("app1").python("identity", ALL_PATHS[0], given=stolen)
    assert own["login"]
    elsewhere = site.host("app2").python("identity", ALL_PATHS[0], given=stolen)
    assert not elsewhere["login"], elsewhere
    assert site.host("app2").ask(f"cat {IDENTITY}") != stolen


@pytest.mark.parametrize("host", ["app1", "app2", "core1"])
def test_a_host_reads_exactly_the_secrets_of_its_roles_and_changes_none(site, host):
    wanted = listed(site, host)
    assert wanted, f"{host} asks for no secret"
    answer = site.host(host).python("identity", *ALL_PATHS, given=site.host(host).ask(f"cat {IDENTITY}"))
    assert {path for path, allowed in answer["allowed"].items() if allowed} == wanted & set(ALL_PATHS)
    assert not answer["writes"]


def test_only_application_hosts_may_have_the_composer_account(site):
    assert "composer-service/account" in listed(site, "app1")
    assert "composer-service/account" not in listed(site, "core1")


def test_a_host_without_secrets_has_an_identity_that_may_read_nothing(site):
    edge = site.host("edge1")
    assert not listed(site, "edge1")
    answer = edge.python("identity", *ALL_PATHS, given=edge.ask(f"cat {IDENTITY}"))
    assert answer["login"]
    assert not any(answer["allowed"].values())
    assert not answer["writes"]


def test_the_running_services_got_their_secrets_and_the_service_user_cannot_read_the_files(site):
    app = site.host("app1")
    names = app.ask("ls /run/composer-secrets").split()
    assert names
    refused = app.run(f"runuser -u composer -- cat /run/composer-secrets/{names[0]}")
    assert refused.returncode != 0
    assert "Permission denied" in refused.stderr


def test_the_application_cannot_change_the_schema(site):
    rows = site.jobs(
        "select count(*) from information_schema.role_table_grants"
        " where grantee = 'composer' and privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER')"
    )
    assert rows == "0"
    assert site.jobs("select has_schema_privilege('composer', 'public', 'CREATE')") == "f"
    assert site.jobs("select tableowner from pg_tables where tablename = 'job'") == "composer_owner"
