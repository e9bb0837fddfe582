#!/usr/bin/python
# Copyright: EuConquisto Composer contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_approle
short_description: A host's identity in OpenBao, with a policy for exactly the secrets it may read
version_added: "0.1.0"
author: EuConquisto Composer contributors (@euconquisto)
description:
  - Makes an AppRole and a policy of the same name. The policy grants reading of the given secrets and nothing else.
  - On request issues a secret id, wrapped in a single-use token, and destroys the earlier ones.
  - Runs where OpenBao is reachable with the administrative login, usually delegated to the OpenBao host.
extends_documentation_fragment:
  - euconquisto.composer.openbao
  - euconquisto.composer.openbao.administrator
options:
  name:
    description: Name of the AppRole and of its policy.
    type: str
    required: true
  mount:
    description: The key-value version 2 engine that holds the secrets.
    type: str
    default: composer
  paths:
    description: Secrets that may be read, inside O(mount).
    type: list
    elements: str
    default: []
  policies:
    description: Further policies of the identity, which others make.
    type: list
    elements: str
    default: []
  cidrs:
    description: Networks from which the identity may be used.
    type: list
    elements: str
    required: true
  token_ttl:
    description: Life in seconds of a token got with this identity.
    type: int
    default: 300
  issue:
    description: Whether to issue a new secret id.
    type: bool
    default: false
  wrap_ttl:
    description: Seconds within which the wrapped secret id must be fetched.
    type: int
    default: 120
attributes:
  check_mode:
    support: full
    description: Logs in and reads, writes nothing and issues nothing.
  diff_mode:
    support: full
    description: Shows policy and settings; there are no secrets in them.
"""

EXAMPLES = r"""
- name: Let app1 read the database password
  euconquisto.composer.openbao_approle:
    url: https://127.0.0.1:8200
    ca_path: /etc/ssl/composer/authority.crt
    password: "{{ openbao_provisioner_password }}"
    name: host-app1
    paths: [database/composer]
    cidrs: [192.0.2.11/32]
  delegate_to: core1
"""

RETURN = r"""
role_id:
  description: The public half of the identity; empty in check mode when there is none yet.
  returned: always
  type: str
  sample: 5a3f0c2e-7d10-4b8e-9d5c-2a7f4f6f1b11
wrapping_token:
  description: Single-use token that M(euconquisto.composer.openbao_identity) exchanges for the secret id.
  returned: when O(issue=true) outside check mode
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.euconquisto.composer.plugins.module_utils.openbao import (
    CONNECTION_OPTIONS,
    LOGIN_OPTIONS,
    Changes,
    OpenBao,
    OpenBaoError,
    ensure,
)


def policy_rules(mount: str, paths: list[str]) -> str:
    """HCL that lets its owner read exactly ``paths`` of a key-value engine, sorted so that order is no change."""
    blocks = [
        f'path "{mount}/data/{path}" {{\n  capabilities = ["read"]\n}}\n' for path in sorted(set(paths))
    ]
    return "\n".join(blocks) or "# No secret is granted.\n"


def role_settings(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Settings of the AppRole as the API reads them back."""
    # A single address is read back without its prefix length.
    cidrs = [cidr.removesuffix("/32").removesuffix("/128") for cidr in params["cidrs"]]
    return {
        "bind_secret_id": True,
        "secret_id_bound_cidrs": params["cidrs"],
        "secret_id_num_uses": 0,
        "secret_id_ttl": 0,
        "token_bound_cidrs": cidrs,
        "token_max_ttl": params["token_ttl"],
        "token_no_default_policy": False,
        "token_policies": [params["name"], *params["policies"]],
        "token_ttl": params["token_ttl"],
    }


def issue_secret_id(bao: OpenBao, name: str, wrap_ttl: int) -> str:
    """Return a wrapping token for a new secret id; the earlier ones no longer work."""
    role = f"auth/approle/role/{name}"
    earlier = (bao.call("LIST", f"{role}/secret-id", missing_ok=True).get("data") or {}).get("keys") or []
    answer = bao.call("POST", f"{role}/secret-id", {}, wrap_ttl=wrap_ttl)
    for accessor in earlier:
        bao.call("POST", f"{role}/secret-id-accessor/destroy", {"secret_id_accessor": accessor})
    return answer["wrap_info"]["token"]


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_OPTIONS,
            **LOGIN_OPTIONS,
            "name": {"type": "str", "required": True},
            "mount": {"type": "str", "default": "composer"},
            "paths": {"type": "list", "elements": "str", "default": []},
            "policies": {"type": "list", "elements": "str", "default": []},
            "cidrs": {"type": "list", "elements": "str", "required": True},
            "token_ttl": {"type": "int", "default": 300, "no_log": False},
            "issue": {"type": "bool", "default": False},
            "wrap_ttl": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    params = module.params
    changes = Changes(module.check_mode)
    result: dict[str, t.Any] = {}
    try:
        bao = OpenBao(params["url"], params["ca_path"])
        bao.wait_until_ready(params["wait"])
        bao.login(params["username"], params["password"])
        try:
            name = params["name"]
            rules = policy_rules(params["mount"], params["paths"])
            ensure(bao, changes, f"sys/policies/acl/{name}", {"policy": rules}, f"policy {name}")
            ensure(bao, changes, f"auth/approle/role/{name}", role_settings(params), f"identity {name}")
            role_id = bao.read(f"auth/approle/role/{name}/role-id") or {}
            result["role_id"] = role_id.get("role_id", "")
            if params["issue"] and changes.record(f"secret id of {name}", None, "issued"):
                result["wrapping_token"] = issue_secret_id(bao, name, params["wrap_ttl"])
        finally:
            bao.logout()
    except OpenBaoError as problem:
        module.fail_json(msg=str(problem), changed=bool(changes) and not module.check_mode)
    module.exit_json(changed=bool(changes), diff=changes.diff(), **result)


if __name__ == "__main__":
    main()
