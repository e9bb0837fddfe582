#!/usr/bin/python
# Copyright: EuConquisto Composer contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_state
short_description: Bring an OpenBao server to a declared state in one call
version_added: "0.1.0"
author: EuConquisto Composer contributors (@euconquisto)
description:
  - Logs in once and makes secret engines, login methods, policies, secrets, token issuing and users
    what is declared.
  - Secrets declared with C(generate) are made inside the module when they are missing and are never shown.
  - What is not declared is left alone, except that a user with I(state=absent) is removed.
extends_documentation_fragment:
  - euconquisto.composer.openbao
  - euconquisto.composer.openbao.administrator
options:
  mounts:
    description: Secret engines.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it is mounted, without a slash at the end.
        type: str
        required: true
      type:
        description: Kind of engine.
        type: str
        default: kv
      version:
        description: Version of a key-value engine.
        type: str
        default: "2"
  auth_methods:
    description: Login methods; each is enabled at the path of its name.
    type: list
    elements: str
    default: []
  policies:
    description: Access policies.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the policy.
        type: str
        required: true
      rules:
        description: The policy in HCL.
        type: str
        required: true
  secrets_mount:
    description: The key-value version 2 engine that holds O(secrets).
    type: str
    default: composer
  secrets:
    description: Secrets that must exist.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Path inside O(secrets_mount).
        type: str
        required: true
      fields:
        description: Fields of the secret. Fields that exist but are not listed stay.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: Name of the field.
            type: str
            required: true
          source:
            description: Where the value comes from. Give exactly one.
            type: dict
            required: true
            suboptions:
              generate:
                description: Make a random value of so many letters and digits if there is none.
                type: int
              value:
                description: The value itself; replaced when it differs.
                type: str
  tokens:
    description: Identity tokens (JWT) that this server issues to its users.
    type: dict
    suboptions:
      issuer:
        description: Base address that the tokens name as their issuer.
        type: str
        required: true
      audience:
        description: The resource that the tokens are for.
        type: str
        required: true
      name:
        description: Name of the signing key and of the token role.
        type: str
        default: composer
      algorithm:
        description: Signature algorithm.
        type: str
        default: ES256
      ttl:
        description: Life of a token in seconds.
        type: int
        default: 3600
      rotation_period:
        description: Seconds after which the signing key is replaced.
        type: int
        default: 86400
      template:
        description: Template of additional claims.
        type: str
        required: true
  users:
    description: People and machines that may get tokens.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Login name.
        type: str
        required: true
      password:
        description: Password; needed unless the user is absent.
        type: str
      tenant:
        description: The tenant that all of the user's work belongs to.
        type: str
      scopes:
        description: What the user may do.
        type: list
        elements: str
        default: []
      policies:
        description: Policies of the user's login.
        type: list
        elements: str
        default: []
      state:
        description: Whether the user exists.
        type: str
        choices: [present, absent]
        default: present
attributes:
  check_mode:
    support: full
    description: Logs in and reads, writes nothing.
  diff_mode:
    support: full
    description: Shows names and settings, never a secret.
"""

EXAMPLES = r"""
- name: A database password that nobody has to invent
  euconquisto.composer.openbao_state:
    url: https://127.0.0.1:8200
    ca_path: /etc/ssl/composer/authority.crt
    password: "{{ openbao_provisioner_password }}"
    mounts:
      - path: composer
    secrets:
      - path: database/composer
        fields:
          - name: password
            source:
              generate: 32
"""

RETURN = r"""
generated:
  description: Paths and fields of the secrets that were generated, without their values.
  returned: always
  type: list
  elements: str
  sample: ["database/composer#password"]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.euconquisto.composer.plugins.module_utils.openbao import (
    CONNECTION_OPTIONS,
    LOGIN_OPTIONS,
    Changes,
    OpenBao,
    OpenBaoError,
)
from ansible_collections.euconquisto.composer.plugins.module_utils.openbao_state import State


def argument_spec() -> dict[str, t.Any]:
    """Options of the module."""
    text = {"type": "str", "required": True}
    source = {"generate": {"type": "int", "no_log": False}, "value": {"type": "str", "no_log": True}}
    field = {
        "name": text,
        "source": {
            "type": "dict",
            "required": True,
            "options": source,
            "mutually_exclusive": [["generate", "value"]],
            "required_one_of": [["generate", "value"]],
        },
    }
    return {
        **CONNECTION_OPTIONS,
        **LOGIN_OPTIONS,
        "mounts": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "path": text,
                "type": {"type": "str", "default": "kv"},
                "version": {"type": "str", "default": "2"},
            },
        },
        "auth_methods": {"type": "list", "elements": "str", "default": []},
        "policies": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {"name": text, "rules": text},
        },
        "secrets_mount": {"type": "str", "default": "composer", "no_log": False},
        "secrets": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "no_log": False,
            "options": {
                "path": text,
                "fields": {"type": "list", "elements": "dict", "required": True, "options": field},
            },
        },
        "tokens": {
            "type": "dict",
            "no_log": False,
            "options": {
                "issuer": text,
                "audience": text,
                "name": {"type": "str", "default": "composer"},
                "algorithm": {"type": "str", "default": "ES256"},
                "ttl": {"type": "int", "default": 3600},
                "rotation_period": {"type": "int", "default": 86400},
                "template": text,
            },
        },
        "users": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": text,
                "password": {"type": "str", "no_log": True},
                "tenant": {"type": "str"},
                "scopes": {"type": "list", "elements": "str", "default": []},
                "policies": {"type": "list", "elements": "str", "default": []},
                "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            },
            "required_if": [["state", "present", ["password", "tenant"]]],
        },
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    wanted = module.params
    changes = Changes(module.check_mode)
    try:
        bao = OpenBao(wanted["url"], wanted["ca_path"])
        bao.wait_until_ready(wanted["wait"])
        bao.login(wanted["username"], wanted["password"], limit=min(10, wanted["wait"]))
        state = State(bao, changes, wanted)
        try:
            state.apply()
        finally:
            bao.logout()
    except OpenBaoError as problem:
        module.fail_json(msg=str(problem), changed=bool(changes) and not module.check_mode)
    module.exit_json(changed=bool(changes), diff=changes.diff(), generated=state.generated)


if __name__ == "__main__":
    main()
