# Copyright: EuConquisto Composer contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compares a declared OpenBao state with the server's and applies the difference.

The options are described in the module openbao_state; the wire is in openbao.py.
"""

from __future__ import annotations

import secrets as random
import string
import typing as t

from ansible_collections.euconquisto.composer.plugins.module_utils.openbao import (
    Changes,
    OpenBao,
    OpenBaoError,
    ensure,
)

ALPHABET = string.ascii_letters + string.digits


class State:
    """Compares the declared state with the server's and applies the difference."""

    def __init__(self, bao: OpenBao, changes: Changes, wanted: dict[str, t.Any]) -> None:
        self.bao = bao
        self.changes = changes
        self.wanted = wanted
        self.generated: list[str] = []

    def apply(self) -> None:
        """Everything, in the order in which parts need one another."""
        self._mounts()
        self._auth_methods()
        for policy in self.wanted["policies"]:
            self._policy(policy["name"], policy["rules"])
        for secret in self.wanted["secrets"]:
            self._secret(secret["path"], secret["fields"])
        if self.wanted["tokens"]:
            self._tokens(self.wanted["tokens"])
        for user in self.wanted["users"]:
            self._user(user)

    def _mounts(self) -> None:
        present = self.bao.read("sys/mounts") or {}
        for mount in self.wanted["mounts"]:
            found = present.get(mount["path"] + "/")
            if found is None:
                if self.changes.record(f"secret engine {mount['path']}", None, mount["type"]):
                    options = {"version": mount["version"]} if mount["type"] == "kv" else {}
                    self.bao.write(f"sys/mounts/{mount['path']}", {"type": mount["type"], "options": options})
            elif found["type"] != mount["type"]:
                raise OpenBaoError(
                    f"{mount['path']} is a secret engine of type {found['type']}, declared is "
                    f"{mount['type']}. "
                    "Changing it would destroy what it holds: choose another path or remove it by hand. "
                    "Nothing was changed there."
                )

    def _auth_methods(self) -> None:
        present = self.bao.read("sys/auth") or {}
        for method in self.wanted["auth_methods"]:
            if method + "/" not in present and self.changes.record(f"login method {method}", None, method):
                self.bao.write(f"sys/auth/{method}", {"type": method})

    def _policy(self, name: str, rules: str) -> None:
        present = (self.bao.read(f"sys/policies/acl/{name}") or {}).get("policy")
        if present != rules and self.changes.record(f"policy {name}", present, rules):
            self.bao.write(f"sys/policies/acl/{name}", {"policy": rules})

    def _secret(self, path: str, fields: list[dict[str, t.Any]]) -> None:
        where = f"{self.wanted['secrets_mount']}/data/{path}"
        present = self.bao.read(where) or {}
        values = dict(present.get("data") or {})
        before: dict[str, str] = {}
        after: dict[str, str] = {}
        for field in fields:
            name, source = field["name"], field["source"]
            if source.get("value") is not None:
                if values.get(name) == source["value"]:
                    continue
                before[name], after[name] = ("another value" if name in values else "absent"), "as declared"
                values[name] = source["value"]
            elif name not in values:
                before[name], after[name] = "absent", "generated"
                values[name] = "".join(random.choice(ALPHABET) for index in range(source["generate"]))
                self.generated.append(f"{path}#{name}")
        if after and self.changes.record(f"secret {path}", before, after):
            # Check-and-set: whoever wrote in between is not overwritten, the run fails and can be repeated.
            version = (present.get("metadata") or {}).get("version", 0)
            self.bao.write(where, {"data": values, "options": {"cas": version}})

    def _tokens(self, tokens: dict[str, t.Any]) -> None:
        name = tokens["name"]
        ensure(self.bao, self.changes, "identity/oidc/config", {"issuer": tokens["issuer"]}, "token issuer")
        key = {
            "algorithm": tokens["algorithm"],
            "rotation_period": tokens["rotation_period"],
            # A key must verify for at least as long as the last token that it signed lives.
            "verification_ttl": tokens["rotation_period"] + tokens["ttl"],
            "allowed_client_ids": [tokens["audience"]],
        }
        ensure(self.bao, self.changes, f"identity/oidc/key/{name}", key, f"token key {name}")
        role = {
            "key": name,
            "client_id": tokens["audience"],
            "ttl": tokens["ttl"],
            "template": tokens["template"],
        }
        ensure(self.bao, self.changes, f"identity/oidc/role/{name}", role, f"token role {name}")

    def _user(self, user: dict[str, t.Any]) -> None:
        name = user["name"]
        login = f"auth/userpass/users/{name}"
        if user["state"] == "absent":
            self._remove_user(name, login)
            return
        accessor = self._userpass_accessor()
        entity = self.bao.read(f"identity/entity/name/{name}")
        self._entity(user, entity, accessor)
        settings = {"token_policies": user["policies"], "token_ttl": 3600, "token_max_ttl": 36000}
        present = self.bao.read(login)
        if present is None:
            if self.changes.record(f"login of {name}", None, settings):
                self.bao.write(login, {**settings, "password": user["password"]})
            return
        ensure(self.bao, self.changes, login, settings, f"login of {name}")
        # Passwords cannot be read back; whether the declared one is in force is found by using it.
        if not self._password_works(name, user["password"]) and self.changes.record(
            f"password of {name}", "another", "as declared"
        ):
            self.bao.write(f"{login}/password", {"password": user["password"]})

    def _entity(self, user: dict[str, t.Any], entity: dict[str, t.Any] | None, accessor: str | None) -> None:
        name = user["name"]
        metadata = {"tenant": user["tenant"], "scope": " ".join(user["scopes"])}
        if (entity or {}).get("metadata") != metadata and self.changes.record(
            f"identity of {name}", (entity or {}).get("metadata"), metadata
        ):
            self.bao.write(f"identity/entity/name/{name}", {"metadata": metadata})
        aliases = (entity or {}).get("aliases") or []
        linked = any(alias["mount_accessor"] == accessor and alias["name"] == name for alias in aliases)
        if not linked and self.changes.record(f"identity of {name} for its login", None, "linked"):
            identity = (self.bao.read(f"identity/entity/name/{name}") or {})["id"]
            self.bao.write(
                "identity/entity-alias", {"name": name, "canonical_id": identity, "mount_accessor": accessor}
            )

    def _userpass_accessor(self) -> str | None:
        found = (self.bao.read("sys/auth") or {}).get("userpass/")
        return found["accessor"] if found else None

    def _password_works(self, name: str, password: str) -> bool:
        probe = OpenBao(self.bao.url, self.bao.ca_path)
        try:
            probe.login(name, password)
        except OpenBaoError as problem:
            if problem.status in (400, 403):
                return False
            raise
        probe.logout()
        return True

    def _remove_user(self, name: str, login: str) -> None:
        if self.bao.read(login) is not None and self.changes.record(f"login of {name}", "present", None):
            self.bao.call("DELETE", login)
        if self.bao.read(f"identity/entity/name/{name}") is not None and self.changes.record(
            f"identity of {name}", "present", None
        ):
            self.bao.call("DELETE", f"identity/entity/name/{name}")
