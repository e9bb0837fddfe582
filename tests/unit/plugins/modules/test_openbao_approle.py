"""A host may read exactly the secrets it asked for."""

from __future__ import annotations

from ansible_collections.euconquisto.composer.plugins.modules.openbao_approle import (
    policy_rules,
    role_settings,
)


def test_each_path_is_granted_for_reading_and_nothing_else():
    rules = policy_rules("composer", ["database/composer", "application/state-key"])
    assert rules.count("path ") == 2
    assert rules.count('capabilities = ["read"]') == 2
    assert "*" not in rules
    assert 'path "composer/data/database/composer"' in rules


def test_order_and_repetition_make_no_other_policy():
    assert policy_rules("composer", ["b", "a", "b"]) == policy_rules("composer", ["a", "b"])


def test_without_secrets_nothing_is_granted():
    assert "capabilities" not in policy_rules("composer", [])


def test_identity_and_its_tokens_are_bound_to_the_hosts_address():
    settings = role_settings(
        {
            "name": "host-app1",
            "cidrs": ["192.0.2.11/32", "2001:db8::11/128"],
            "policies": ["certificate-app1"],
            "token_ttl": 300,
        }
    )
    assert settings["token_policies"] == ["host-app1", "certificate-app1"]
    assert settings["secret_id_bound_cidrs"] == ["192.0.2.11/32", "2001:db8::11/128"]
    assert settings["token_bound_cidrs"] == ["192.0.2.11", "2001:db8::11"]
