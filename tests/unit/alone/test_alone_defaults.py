"""A configuration without a database describes a server that runs alone; a mixture is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from composer_mcp.alone.defaults import LOCAL_ISSUER
from composer_mcp.settings import ConfigurationError, find_config, load

COMPOSER = '[composer]\nproject_uid = "project"\nconnector_uid = "connector"\n'
DATABASE = '[database]\nhosts = ["127.0.0.1:5432"]\n'
REST = """
public_url = "https://composer.lab.test/mcp"
allowed_hosts = ["composer.lab.test"]
[object_store]
url = "file:///tmp/artifacts"
"""
ISSUER = """
[[issuers]]
issuer = "https://issuer.test"
jwks_url = "https://issuer.test/keys"
audience = "https://composer.lab.test/mcp"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("composer_mcp.settings.model.DEFAULT_CONFIG", tmp_path / "etc/config.toml")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_two_settings_of_composer_are_enough(home: Path) -> None:
    settings = load(written(home, COMPOSER))
    assert settings.alone and settings.state == home / ".local/state/composer-mcp"
    assert settings.public_url == "http://127.0.0.1:8101/mcp"
    assert settings.allowed_hosts == ["127.0.0.1:8101", "localhost:8101"]
    assert settings.object_store.url == f"file://{settings.state}/artifacts"
    assert [issuer.issuer for issuer in settings.issuers] == [LOCAL_ISSUER]
    assert settings.web.workers == 1 and settings.web.sessions


def test_the_environment_alone_is_enough(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSER_MCP__COMPOSER__PROJECT_UID", "project")
    monkeypatch.setenv("COMPOSER_MCP__COMPOSER__CONNECTOR_UID", "connector")
    monkeypatch.setenv("COMPOSER_MCP__STATE_DIRECTORY", "~/elsewhere")
    assert load(find_config()).state == home / "elsewhere"


def test_systemd_names_the_state_directory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{home}/unit:{home}/other")
    assert load(written(home, COMPOSER)).state == home / "unit"


def test_the_address_that_is_asked_for_is_answered(home: Path) -> None:
    settings = load(written(home, COMPOSER), bind="127.0.0.1:9000")
    assert settings.public_url == "http://127.0.0.1:9000/mcp"
    assert settings.allowed_hosts == ["127.0.0.1:9000", "localhost:9000"]


def test_the_users_configuration_is_found_and_the_hosts_has_precedence(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_config() is None
    own = home / ".config/composer-mcp/config.toml"
    own.parent.mkdir(parents=True)
    own.write_text(COMPOSER)
    assert find_config() == own
    monkeypatch.setattr("composer_mcp.settings.model.DEFAULT_CONFIG", written(home, COMPOSER))
    assert find_config() == home / "config.toml"


def test_a_configuration_that_may_not_be_read_is_not_passed_over(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = home / ".config/composer-mcp/config.toml"
    own.parent.mkdir(parents=True)
    own.write_text(COMPOSER)

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    assert find_config() == home / "etc/config.toml"


def test_a_user_without_a_home_must_name_the_state_directory(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless(path: Path) -> Path:
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert find_config() is None
    with pytest.raises(ConfigurationError, match="state_directory is required"):
        load(written(home, COMPOSER))


def test_nothing_at_all_is_told_with_what_is_missing() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load(find_config())
    assert "there is no configuration" in str(refusal.value) and "composer: is required" in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'state_directory = "/tmp/x"\n{REST}{ISSUER}{DATABASE}{COMPOSER}', "exclude each other"),
        (f"{DATABASE}{COMPOSER}", "allowed_hosts: is required"),
        (f"{REST}{DATABASE}{COMPOSER}", "issuers: is required"),
        (f"{REST}{ISSUER.replace('https://issuer.test', 'http://issuer.test')}{COMPOSER}", "https://"),
        (f"[web]\nworkers = 2\n{COMPOSER}", "web.workers must be left out"),
        (
            f'{REST}[[issuers]]\nissuer = "{LOCAL_ISSUER}"\njwks_url = "file:///tmp/k"\naudience = "a"\n'
            f"{DATABASE}{COMPOSER}",
            "only for a server without [database]",
        ),
        (
            f'[[issuers]]\nissuer = "{LOCAL_ISSUER}"\njwks_url = "http://x/k"\naudience = "a"\n{COMPOSER}',
            "cannot be configured",
        ),
    ],
)
def test_a_mixture_is_refused(home: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load(written(home, text))
    assert told in str(refusal.value)


def test_other_issuers_may_be_named(home: Path) -> None:
    settings = load(written(home, f"{ISSUER}{COMPOSER}"))
    assert [issuer.issuer for issuer in settings.issuers] == ["https://issuer.test"]


def test_what_needs_a_database_says_how_to_do_without(home: Path) -> None:
    settings = load(written(home, COMPOSER))
    with pytest.raises(ConfigurationError, match="composer-mcp serve or composer-mcp stdio"):
        _ = settings.postgresql
    with pytest.raises(ConfigurationError, match="runs alone"):
        _ = load(written(home, f"{REST}{ISSUER}{DATABASE}{COMPOSER}")).state
