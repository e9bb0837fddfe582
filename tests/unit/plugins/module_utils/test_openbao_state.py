"""What a declared OpenBao state does to a server, shown on one that only remembers."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ansible_collections.euconquisto.composer.plugins.module_utils.openbao import (
    Changes,
    OpenBao,
    OpenBaoError,
    differing,
)
from ansible_collections.euconquisto.composer.plugins.module_utils.openbao_state import State

NOTHING: dict[str, Any] = {
    "mounts": [],
    "auth_methods": [],
    "policies": [],
    "secrets_mount": "composer",
    "secrets": [],
    "tokens": None,
    "users": [],
}
ANA = {
    "name": "ana",
    "password": "secret-of-ana",
    "tenant": "school",
    "scopes": ["jobs:read"],
    "policies": ["composer-user"],
    "state": "present",
}


class RememberingBao(OpenBao):
    """A server that stores what it is given, with just enough of the real one's ways."""

    def __init__(self) -> None:
        super().__init__("https://bao.example.org:8200", "/authority.crt")
        self.paths: dict[str, dict[str, Any]] = {
            "sys/mounts": {},
            "sys/auth": {"userpass/": {"accessor": "a1"}},
        }
        self.written: list[str] = []

    def call(self, method, path, data=None, missing_ok=False, wrap_ttl=0):
        if method == "DELETE":
            self.written.append(path)
            self.paths.pop(path)
        elif method == "POST":
            self.written.append(path)
            self._store(path, copy.deepcopy(data))
        else:
            return {"data": copy.deepcopy(self.paths[path])} if path in self.paths else {}
        return {}

    def _store(self, path, data):
        if path.startswith("sys/mounts/"):
            self.paths["sys/mounts"][path.removeprefix("sys/mounts/") + "/"] = data
        elif path == "identity/entity-alias":
            for entity in self.paths.values():
                if entity.get("id") == data["canonical_id"]:
                    entity["aliases"].append(data)
        elif path.startswith("identity/entity/name/"):
            self.paths.setdefault(path, {"id": path, "aliases": []}).update(data)
        elif "/data/" in path:
            version = self.paths.get(path, {}).get("metadata", {}).get("version", 0)
            assert data["options"]["cas"] == version
            self.paths[path] = {"data": data["data"], "metadata": {"version": version + 1}}
        else:
            self.paths.setdefault(path, {}).update(data)


@pytest.fixture
def bao(monkeypatch):
    server = RememberingBao()
    passwords = {"ana": "secret-of-ana"}
    monkeypatch.setattr(State, "_password_works", lambda self, name, password: passwords[name] == password)
    return server


def apply(bao, check_mode=False, **wanted):
    changes = Changes(check_mode)
    state = State(bao, changes, {**NOTHING, **wanted})
    state.apply()
    return changes, state


def generated(path="database/composer", name="password"):
    return [{"path": path, "fields": [{"name": name, "source": {"generate": 32, "value": None}}]}]


def given(value, path="composer-service/account", name="token"):
    return [{"path": path, "fields": [{"name": name, "source": {"generate": None, "value": value}}]}]


def test_a_secret_is_generated_once_and_then_kept(bao):
    _changes, state = apply(bao, secrets=generated())
    first = bao.paths["composer/data/database/composer"]["data"]["password"]
    assert len(first) == 32
    assert state.generated == ["database/composer#password"]
    changes, state = apply(bao, secrets=generated())
    assert not changes
    assert state.generated == []
    assert bao.paths["composer/data/database/composer"]["data"]["password"] == first


def test_a_given_value_replaces_another_and_leaves_other_fields(bao):
    bao.paths["composer/data/composer-service/account"] = {
        "data": {"token": "old", "note": "by hand"},
        "metadata": {"version": 3},
    }
    apply(bao, secrets=given("new"))
    assert bao.paths["composer/data/composer-service/account"]["data"] == {"token": "new", "note": "by hand"}


def test_no_secret_is_in_what_ansible_shows(bao):
    changes, _state = apply(bao, secrets=generated() + given("given-value"), users=[ANA])
    shown = json.dumps(changes.diff())
    value = bao.paths["composer/data/database/composer"]["data"]["password"]
    assert value not in shown
    assert "given-value" not in shown
    assert "secret-of-ana" not in shown
    assert "generated" in shown


def test_check_mode_writes_nothing_even_where_nothing_is_there_yet(bao):
    changes, _state = apply(
        bao,
        check_mode=True,
        mounts=[{"path": "composer", "type": "kv", "version": "2"}],
        auth_methods=["approle"],
        secrets=generated(),
        users=[ANA],
    )
    assert changes
    assert bao.written == []


def test_a_second_run_changes_nothing(bao):
    wanted = {
        "mounts": [{"path": "composer", "type": "kv", "version": "2"}],
        "policies": [{"name": "p", "rules": "rules"}],
        "users": [ANA],
        "tokens": {
            "name": "composer",
            "issuer": "https://bao.example.org:8200",
            "audience": "https://composer.example.org/mcp",
            "algorithm": "ES256",
            "ttl": 3600,
            "rotation_period": 86400,
            "template": "{}",
        },
    }
    assert apply(bao, **wanted)[0]
    assert not apply(bao, **wanted)[0]


def test_a_users_tenant_and_scopes_are_in_the_identity_that_tokens_are_made_from(bao):
    apply(bao, users=[{**ANA, "scopes": ["compositions:read", "jobs:read"]}])
    metadata = bao.paths["identity/entity/name/ana"]["metadata"]
    assert metadata == {"tenant": "school", "scope": "compositions:read jobs:read"}


def test_a_new_password_is_noticed(bao):
    apply(bao, users=[ANA])
    bao.written.clear()
    changes, _state = apply(bao, users=[{**ANA, "password": "new-secret-of-ana"}])
    assert list(changes.after) == ["password of ana"]
    assert bao.written == ["auth/userpass/users/ana/password"]


def test_an_absent_user_can_no_longer_log_in(bao):
    apply(bao, users=[ANA])
    apply(bao, users=[{"name": "ana", "state": "absent"}])
    assert "auth/userpass/users/ana" not in bao.paths
    assert "identity/entity/name/ana" not in bao.paths


def test_an_engine_of_another_kind_is_not_destroyed(bao):
    bao.paths["sys/mounts"]["composer/"] = {"type": "transit"}
    with pytest.raises(OpenBaoError, match="would destroy what it holds"):
        apply(bao, mounts=[{"path": "composer", "type": "kv", "version": "2"}])
    assert bao.written == []


def test_only_https_is_spoken():
    with pytest.raises(OpenBaoError, match="not an https address"):
        OpenBao("http://bao.example.org:8200", "/authority.crt")


def test_lists_are_compared_without_order():
    assert differing({"a": [2, 1], "b": 1, "c": 5}, {"a": [1, 2], "b": 2}) == {"b": 2}
