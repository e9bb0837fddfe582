"""What a host's role in OpenBao's PKI allows; that OpenBao keeps to it is shown in molecule/certificates."""

from __future__ import annotations

from ansible_collections.euconquisto.composer.plugins.modules.openbao_pki import role_settings


def test_names_and_addresses_are_allowed_exactly():
    settings = role_settings(["app1", "app1.example.org", "192.0.2.11", "::1", "app1"], 30)
    assert settings["allowed_domains"] == ["app1", "app1.example.org"]
    assert settings["allowed_ip_sans_cidr"] == ["192.0.2.11/32", "::1/128"]
    assert settings["max_ttl"] == settings["ttl"] == 30 * 24 * 3600


def test_no_further_name_can_be_asked_for():
    settings = role_settings(["app1"], 30)
    widening = [name for name, value in settings.items() if name.startswith("allow_") and value is True]
    # A name itself, without anything before it.
    assert widening == ["allow_bare_domains"]
    assert settings["not_after_bound"] == settings["not_before_bound"] == "forbid"
