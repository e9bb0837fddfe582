"""A wrong configuration is refused with the key's name and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from composer_mcp.settings import ConfigurationError, Credentials, load

GOOD = """
public_url = "https://composer.lab.test/mcp"
allowed_hosts = ["composer.lab.test", "localhost:8443"]
[web]
slot = "blue"
drain_file = "/run/composer-web-blue/drain"
[database]
hosts = ["core1.lab.test:5432"]
name = "composer"
user = "composer"
owner = "composer_owner"
authority = "/etc/ssl/composer/authority.crt"
[object_store]
url = "s3://composer-artifacts"
endpoint = "https://core1.lab.test:8333"
region = "us-east-1"
authority = "/etc/ssl/composer/authority.crt"
[[issuers]]
issuer = "https://core1.lab.test:8200/v1/identity/oidc"
jwks_url = "https://core1.lab.test:8200/v1/identity/oidc/.well-known/keys"
authority = "/etc/ssl/composer/authority.crt"
algorithms = ["ES256"]
audience = "https://composer.lab.test/mcp"
scope_claim = "scope"
tenant_claim = "tenant"
[composer]
app_url = "https://composer.euconquisto.com/"
api_url = "https://api.digitalpages.com.br"
project_uid = "project-1"
connector_uid = "connector-1"
[browser]
executable = "/usr/bin/chromium"
headless = true
[worker]
concurrency = 2
job_timeout_seconds = 120
[queue]
per_tenant_limit = 100
total_limit = 1000
[log]
format = "json"
"""


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write


def test_a_complete_configuration_is_read(written) -> None:
    settings = load(written(GOOD))
    assert settings.web.slot == "blue" and settings.web.workers == 2
    assert settings.issuers[0].algorithms == ["ES256"]
    assert settings.database.hosts == ["core1.lab.test:5432"]


def test_the_environment_wins_over_the_file(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSER_MCP__WEB__SLOT", "green")
    monkeypatch.setenv("COMPOSER_MCP__WORKER__CONCURRENCY", "4")
    settings = load(written(GOOD))
    assert (settings.web.slot, settings.worker.concurrency) == ("green", 4)
    assert settings.web.drain_file == Path("/run/composer-web-blue/drain")


@pytest.mark.parametrize(
    ("old", "new", "named", "expected"),
    [
        ("[web]", "[web]\nsessions = true", "web", "set workers to 1"),
        ("[worker]", "[worker]\nconcurency = 3", "worker.concurency", "unknown key; known here"),
        ("[log]", "[logs]", "logs", "unknown key; known here"),
        ("concurrency = 2", 'concurrency = "two"', "worker.concurrency", "valid integer"),
        ("concurrency = 2", "concurrency = 1", "worker.concurrency", "greater than or equal to 2"),
        ('slot = "blue"', 'slot = "red"', "web.slot", "'blue' or 'green'"),
        ('project_uid = "project-1"', "", "composer.project_uid", "is required"),
        ('algorithms = ["ES256"]', 'algorithms = ["HS256"]', "issuers.0.algorithms.0", "ES256"),
        ("jwks_url = \"https", "jwks_url = \"http", "issuers.0", "must begin with https://"),
        ('url = "s3://composer-artifacts"', 'url = "ftp://x"', "object_store.url", "pattern"),
        (
            'owner = "composer_owner"\nauthority = "/etc/ssl/composer/authority.crt"',
            'owner = "composer_owner"',
            "database",
            "authority is required, because core1.lab.test:5432 is not on this machine",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_named(written, old: str, new: str, named: str, expected: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigurationError) as refusal:
        load(written(GOOD.replace(old, new, 1)))
    line = next(line for line in str(refusal.value).splitlines() if line.strip().startswith(f"{named}:"))
    assert expected in line
    assert "Nothing was started." in str(refusal.value)


def test_all_mistakes_are_told_at_once(written) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load(written(GOOD.replace("concurrency = 2", "concurrency = 0").replace('slot = "blue"', "slot = 1")))
    assert "worker.concurrency" in str(refusal.value) and "web.slot" in str(refusal.value)


def test_a_misspelt_environment_variable_is_not_ignored(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSER_MCP__WORKERS__CONCURRENCY", "4")
    with pytest.raises(ConfigurationError, match="COMPOSER_MCP__WORKERS__CONCURRENCY"):
        load(written(GOOD))


@pytest.mark.parametrize("text", ["public_url = ", "\x00"])
def test_broken_toml_is_refused(written, text: str) -> None:
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load(written(text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml does not exist"):
        load(tmp_path / "nowhere.toml")


def test_a_secret_is_read_without_its_line_break(tmp_path: Path) -> None:
    (tmp_path / "database-password").write_text("correct horse \n")
    secret = Credentials(tmp_path).read("database-password")
    assert secret.get_secret_value() == "correct horse "
    assert "horse" not in repr(secret)


@pytest.mark.parametrize(("content", "told"), [(None, "missing"), ("\n", "empty")])
def test_a_secret_that_is_not_there_is_named(tmp_path: Path, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "state-key").write_text(content)
    with pytest.raises(ConfigurationError, match=f"state-key .*{told}"):
        Credentials(tmp_path).read("state-key")
    with pytest.raises(ConfigurationError, match="no credentials folder"):
        Credentials(None).read("state-key")


def test_who_misses_a_secret_is_told_what_suits_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigurationError, match=f"install -m 600 /dev/stdin {tmp_path}/composer-token"):
        Credentials.find(None, tmp_path).read("composer-token")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ConfigurationError, match="LoadCredential=composer-token:"):
        Credentials.find(None).read("composer-token")
    with pytest.raises(ConfigurationError, match="Put the file there"):
        Credentials.find(tmp_path / "elsewhere").read("composer-token")
