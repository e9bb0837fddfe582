"""What the role writes is what the server understands: it goes through the server's own reader."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from composer_mcp import settings

ROLE = Path(__file__).resolve().parents[3] / "roles/composer_mcp"
SITE: dict[str, Any] = {
    "ansible_managed": "managed",
    "ansible_check_mode": False,
    "composer_public_url": "https://composer.example.org/mcp",
    "composer_mcp_bundle": "/tmp/composer-mcp-1.2.3-abc.tar",
    "composer_mcp_project_uid": "project",
    "composer_mcp_connector_uid": "connector",
    "openbao_issuer": "https://vault.example.org:8200",
    "groups": {"postgresql": ["db1", "db2"], "object_store": ["store1"]},
    "hostvars": {
        "db1": {"host_address": "192.0.2.21"},
        "db2": {"host_address": "192.0.2.22"},
        "store1": {"host_address": "192.0.2.23"},
    },
}


def values(loader: DataLoader, **variables: Any) -> dict[str, Any]:
    """All variables of the role; keyword arguments are what an inventory sets."""
    parts = [
        loader.load_from_file(str(ROLE / part / "main.yml"), trusted_as_template=True)
        for part in ("defaults", "vars")
    ]
    return {**parts[0], **parts[1], **SITE, **variables}


def variable(name: str, **variables: Any) -> Any:
    """One variable of the role, as it is used."""
    loader = DataLoader()
    given = values(loader, **variables)
    return Templar(loader=loader, variables=given).template(given[name])


def render(name: str, **variables: Any) -> str:
    """Render one template of the role; keyword arguments are what an inventory sets."""
    loader = DataLoader()
    given = values(loader, **variables)
    templar = Templar(loader=loader, variables=given)
    templar = templar.copy_with_new_env(searchpath=[str(ROLE / "templates")], available_variables=given)
    text = trust_as_template((ROLE / "templates" / name).read_text())
    overrides = {"trim_blocks": True, "lstrip_blocks": True}
    return str(templar.template(text, escape_backslashes=False, overrides=overrides))


def load(tmp_path: Path, **variables: Any) -> settings.Settings:
    path = tmp_path / "config.toml"
    path.write_text(render("etc/composer-mcp/config.toml.j2", **variables))
    return settings.load(path)


def unit(name: str, **variables: Any) -> list[str]:
    return render(f"etc/systemd/system/{name}.j2", **variables).splitlines()


def given_secrets(lines: list[str]) -> set[str]:
    return {line.split("=")[1].split(":")[0] for line in lines if line.startswith("LoadCredential=")}


def test_the_servers_reader_takes_what_the_role_writes(tmp_path: Path) -> None:
    read = load(tmp_path)
    assert read.public_url == "https://composer.example.org/mcp"
    assert read.allowed_hosts == ["composer.example.org"]
    assert read.database.hosts == ["192.0.2.21:5432", "192.0.2.22:5432"]
    assert read.object_store.endpoint == "https://192.0.2.23:8333"
    assert read.issuers[0].issuer == "https://vault.example.org:8200/v1/identity/oidc"
    assert read.issuers[0].audience == read.public_url
    assert read.browser.headless and str(read.browser.executable).endswith("headless-shell")


def test_an_issuer_says_itself_what_it_signs_with_or_else_es256(tmp_path: Path) -> None:
    plain = {"issuer": "https://one.test", "jwks_url": "https://one.test/keys"}
    further = {"algorithms": ["RS256", "EdDSA"], "authority": "/etc/ssl/certs/ca-certificates.crt"}
    read = load(tmp_path, composer_mcp_issuers=[plain, {**plain, "issuer": "https://two.test", **further}])
    assert [issuer.algorithms for issuer in read.issuers] == [["ES256"], ["RS256", "EdDSA"]]
    authorities = [str(issuer.authority) for issuer in read.issuers]
    assert authorities == ["/etc/ssl/composer/authority.crt", "/etc/ssl/certs/ca-certificates.crt"]


def test_one_variable_gives_the_browser_a_display(tmp_path: Path) -> None:
    read = load(tmp_path, chromium_display="xvfb")
    assert not read.browser.headless and str(read.browser.executable) == "/usr/bin/chromium"


def test_a_folder_can_be_the_store(tmp_path: Path) -> None:
    read = load(
        tmp_path, composer_mcp_object_store_url="file:///srv/artifacts", groups={"postgresql": ["db1"]}
    )
    assert read.object_store.url == "file:///srv/artifacts" and read.object_store.endpoint is None


def test_further_settings_are_laid_over_what_the_role_writes(tmp_path: Path) -> None:
    further = {
        "worker": {"attempt_limit": 7},
        "log": {"level": "debug"},
        "allowed_origins": ["https://x.test"],
    }
    read = load(tmp_path, composer_mcp_settings=further)
    assert (read.worker.attempt_limit, read.worker.job_timeout_seconds) == (7, 120)
    assert read.log.level == "debug" and read.allowed_origins == ["https://x.test"]


def test_text_from_an_inventory_cannot_break_out_of_its_value(tmp_path: Path) -> None:
    nasty = 'a"b\\c\n[web]\nslot = "green"'
    written = render("etc/composer-mcp/config.toml.j2", composer_mcp_settings={"database": {"name": nasty}})
    assert tomllib.loads(written)["database"]["name"] == nasty


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(settings.ConfigurationError, match=r"worker\.atempt_limit"):
        load(tmp_path, composer_mcp_settings={"worker": {"atempt_limit": 7}})


def test_receivers_of_reports_and_traces_bring_their_secrets_with_them(tmp_path: Path) -> None:
    endpoint = "https://collector.example.org/v1/traces"
    further = {"reports": {"enabled": True}, "traces": {"endpoint": endpoint, "authorization": True}}
    read = load(tmp_path, composer_mcp_settings=further)
    assert read.reports.enabled and read.traces.endpoint == endpoint
    theirs = {"error-reports-dsn", "traces-authorization"}
    for name in ("composer-web@.service", "composer-worker@.service"):
        assert given_secrets(unit(name, composer_mcp_settings=further)) - given_secrets(unit(name)) == theirs
    # They are fetched where they are needed, and nowhere else.
    fetched = {each["name"] for each in variable("composer_mcp_secrets_files", composer_mcp_settings=further)}
    assert fetched - {each["name"] for each in variable("composer_mcp_secrets_files")} == theirs
    assert (
        given_secrets(unit("composer-web@.service", composer_mcp_settings=further)) - {"tls.key"} <= fetched
    )


def test_each_process_gets_its_own_secrets_only() -> None:
    store = {"object-store-access-key", "object-store-secret-key"}
    assert given_secrets(unit("composer-web@.service")) == {
        "database-password",
        "state-key",
        "audit-key",
        "tls.key",
        *store,
    }
    assert given_secrets(unit("composer-worker@.service")) == {
        "database-password",
        "audit-key",
        "composer-token",
        "composer-project-key",
        *store,
    }


@pytest.mark.parametrize("name", ["composer-web@.service", "composer-worker@.service"])
def test_units_hold_one_setting_a_line_and_no_secret_in_the_environment(name: str) -> None:
    for line in unit(name):
        assert line == "" or line.startswith(("#", "[")) or line.split("=", 1)[0].isalpha(), line
        assert not (
            line.startswith("Environment=") and any(w in line.lower() for w in ("key", "token", "pass"))
        )


def test_a_stop_outlasts_the_longest_job() -> None:
    for name in ("composer-web@.service", "composer-worker@.service"):
        lines = unit(name, composer_mcp_job_timeout_seconds=300)
        (limit,) = (int(line.split("=")[1]) for line in lines if line.startswith("TimeoutStopSec="))
        assert limit >= 310


def test_as_many_workers_are_wanted_as_declared() -> None:
    wanted = [
        line for line in unit("composer-mcp.target", composer_mcp_workers=3) if line.startswith("Wants=")
    ]
    assert wanted == ["Wants=composer-web@blue.service"] + [
        f"Wants=composer-worker@{number}.service" for number in (1, 2, 3)
    ]
