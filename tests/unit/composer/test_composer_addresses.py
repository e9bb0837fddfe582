"""Addresses: those we open, and those we may show."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from composer_mcp.browser.lease import without_secrets
from composer_mcp.composer import editor, facts
from composer_mcp.composer.settings import ComposerSettings


def test_the_addresses_are_those_of_composer() -> None:
    login = facts.login_address("https://composer.euconquisto.com", "pt_br", "p-1", "a.b.c")
    assert login == "https://composer.euconquisto.com/#/embed/auth-with-token/pt_br/home/p-1/a.b.c"
    assert facts.editor_address("https://c.example", "H4sI_-") == "https://c.example/#/embed/composer/H4sI_-"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://u:p@x.example:8/a?access_token=t#/f", "https://x.example:8/a"),
        ("data:text/html,secret", "data:…"),
        ("blob:https://x.example/1", "blob:…"),
    ],
)
def test_no_secret_is_shown_with_an_address(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


def test_pages_need_the_hosts_of_the_application_the_api_and_the_media() -> None:
    settings = ComposerSettings(project_uid="p", connector_uid="c", app_url="https://app.example:8443/")
    assert settings.app_url == "https://app.example:8443"
    assert editor.hosts(settings) == {"app.example", "api.digitalpages.com.br", "pocs.digitalpages.com.br"}


@pytest.mark.parametrize("values", [{"app_url": "http://x.example"}, {"project_uid": "a/b"}, {"tokn": "x"}])
def test_settings_that_cannot_be_right_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ComposerSettings(**{"project_uid": "p", "connector_uid": "c"} | values)
