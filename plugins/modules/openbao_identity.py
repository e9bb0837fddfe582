#!/usr/bin/python
# Copyright: EuConquisto Composer contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_identity
short_description: Keep a host's OpenBao identity on that host
version_added: "0.1.0"
author: EuConquisto Composer contributors (@euconquisto)
description:
  - Without O(wrapping_token) says whether the identity on this host works, by logging in with it.
  - With O(wrapping_token) fetches the secret id that M(euconquisto.composer.openbao_approle) issued, proves that it
    works and stores it readable by root only. The secret id never passes through the controller.
extends_documentation_fragment:
  - euconquisto.composer.openbao
options:
  name:
    description: Name of the AppRole.
    type: str
    required: true
  role_id:
    description: The public half of the identity.
    type: str
    required: true
  path:
    description: File that holds the identity.
    type: path
    default: /etc/composer-secrets/identity.json
  wrapping_token:
    description: Single-use token for the secret id.
    type: str
attributes:
  check_mode:
    support: full
    description: Only says whether the identity works.
  diff_mode:
    support: none
    description: There is nothing to show but secrets.
"""

EXAMPLES = r"""
- name: See whether this host can still log in
  euconquisto.composer.openbao_identity:
    url: https://core1.example.org:8200
    ca_path: /etc/ssl/composer/authority.crt
    name: host-app1
    role_id: "{{ __secrets_approle.role_id }}"
"""

RETURN = r"""
valid:
  description: Whether the identity on this host works.
  returned: always
  type: bool
"""

import json
import os
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.euconquisto.composer.plugins.module_utils.openbao import (
    CONNECTION_OPTIONS,
    OpenBao,
    OpenBaoError,
)


def stored_secret_id(path: Path, role_id: str) -> str | None:
    """Return the secret id in the file, or None when there is none for this role id."""
    try:
        identity = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return identity.get("secret_id") if identity.get("role_id") == role_id else None


def works(url: str, ca_path: str, role_id: str, secret_id: str) -> bool:
    """Whether one can log in with the identity from here."""
    bao = OpenBao(url, ca_path)
    try:
        bao.login_approle(role_id, secret_id)
    except OpenBaoError as problem:
        if problem.status in (400, 403):
            return False
        raise
    bao.logout()
    return True


def unwrap(bao: OpenBao, name: str) -> str:
    """Exchange the wrapping token for the secret id, after checking that it is what it claims to be."""
    expected = f"auth/approle/role/{name}/secret-id"
    try:
        lookup = bao.call("POST", "sys/wrapping/lookup", {"token": bao.token})
    except OpenBaoError as problem:
        raise OpenBaoError(
            f"The wrapped identity of {name} was already used or is too old: {problem}. If nobody but this run had "
            "it, run again; otherwise find out who used it. This host has no new identity.",
            problem.status,
        ) from problem
    found = lookup["data"]["creation_path"]
    if found != expected:
        raise OpenBaoError(
            f"The wrapping token was made for {found}, expected is {expected}. Somebody exchanged it on the way. "
            "It was not used; this host has no new identity."
        )
    return bao.call("POST", "sys/wrapping/unwrap")["data"]["secret_id"]


def store(path: Path, role_id: str, secret_id: str) -> None:
    """Write the identity atomically, never readable by anyone but root."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".identity-")  # mkstemp makes it 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w") as target:
            json.dump({"role_id": role_id, "secret_id": secret_id}, target)
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_OPTIONS,
            "name": {"type": "str", "required": True},
            "role_id": {"type": "str", "required": True},
            "path": {"type": "path", "default": "/etc/composer-secrets/identity.json"},
            "wrapping_token": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    path = Path(params["path"])
    url, ca_path, role_id = params["url"], params["ca_path"], params["role_id"]
    try:
        OpenBao(url, ca_path).wait_until_ready(params["wait"])
        if not params["wrapping_token"] or module.check_mode:
            secret_id = stored_secret_id(path, role_id)
            valid = secret_id is not None and works(url, ca_path, role_id, secret_id)
            module.exit_json(changed=False, valid=valid)
        secret_id = unwrap(OpenBao(url, ca_path, params["wrapping_token"]), params["name"])
        module.no_log_values.add(secret_id)
        if not works(url, ca_path, role_id, secret_id):
            raise OpenBaoError(
                f"OpenBao issued an identity for {params['name']} but refuses it from this host. The identity is bound "
                "to the host's address: check host_address against the address from which this host reaches "
                f"{url}. The new identity was thrown away."
            )
        store(path, role_id, secret_id)
    except OpenBaoError as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=True, valid=True)


if __name__ == "__main__":
    main()
