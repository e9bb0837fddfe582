#!/usr/bin/python
# Copyright: EuConquisto Composer contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_pki
short_description: Let OpenBao certify a host, below the private authority on the controller
version_added: "0.1.0"
author: EuConquisto Composer contributors (@euconquisto)
description:
  - Makes OpenBao's PKI engine an intermediate authority. Its key is made in OpenBao and stays there; the private authority of
    M(euconquisto.composer.host_certificate) certifies it on the controller, anew in the last O(renew_days).
  - Makes a role for one host, which is given certificates for its names and addresses and for no others, and a policy with
    which one may ask for them.
  - Runs where OpenBao is reachable with the administrative login, usually delegated to the OpenBao host. Let hosts take turns
    (C(throttle=1)), so that the authority is made once.
extends_documentation_fragment:
  - euconquisto.composer.openbao
  - euconquisto.composer.openbao.administrator
requirements:
  - cryptography (on the controller)
options:
  authority_dir:
    description: Folder of the private authority on the controller.
    type: path
    required: true
  mount:
    description: Where the PKI engine is mounted.
    type: str
    default: pki
  common_name:
    description: Name of the intermediate authority.
    type: str
    default: Composer hosts
  valid_days:
    description: Days for which the intermediate authority is valid.
    type: int
    default: 1825
  renew_days:
    description: Make a new intermediate authority when fewer days are left.
    type: int
    default: 365
  name:
    description: Name of the role. The policy has the same.
    type: str
    required: true
  names:
    description: Host names and addresses for which the role certifies.
    type: list
    elements: str
    required: true
  host_days:
    description: Days for which a host's certificate is valid.
    type: int
    default: 30
  state:
    description:
      - For the plugin's own use. V(present) makes engine, role and policy, V(request) has OpenBao make a key and asks for its
        certificate, V(certified) hands O(certificate) over.
    type: str
    choices: [present, request, certified]
    default: present
  certificate:
    description: The certificate of the intermediate authority, with O(state=certified).
    type: str
attributes:
  check_mode:
    support: full
    description: Logs in and reads, writes nothing and certifies nothing.
  diff_mode:
    support: full
    description: Shows settings; there are no secrets in them.
seealso:
  - module: euconquisto.composer.openbao_approle
"""

EXAMPLES = r"""
- name: Let app1 ask for its certificate
  euconquisto.composer.openbao_pki:
    url: https://127.0.0.1:8200
    ca_path: /etc/ssl/composer/authority.crt
    password: "{{ openbao_provisioner_password }}"
    authority_dir: /srv/authority
    name: certificate-app1
    names: [app1, 192.0.2.11]
  delegate_to: core1
  throttle: 1
"""

RETURN = r"""
issuer:
  description: The certificate of the intermediate authority in PEM form; empty before there is one.
  returned: always
  type: str
reason:
  description: Why the intermediate authority was certified anew; empty when it was not.
  returned: always
  type: str
"""

import ipaddress
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

DAY_SECONDS = 86400
# A host whose clock is behind OpenBao's accepts a new certificate nevertheless.
CLOCK_SKEW_SECONDS = 3600
# Longer than any authority below it lives: the engine would cut that short.
LONGEST_SECONDS = 3650 * DAY_SECONDS


def role_settings(names: list[str], host_days: int) -> dict[str, t.Any]:
    """Settings of the role as the API reads them back: these names and addresses exactly, and no longer than that."""
    addresses, domains = [], []
    for name in dict.fromkeys(names):
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            domains.append(name)
        else:
            addresses.append(f"{address}/{address.max_prefixlen}")
    return {
        "allow_bare_domains": True,
        "allow_glob_domains": False,
        "allow_ip_sans": bool(addresses),
        # Otherwise every host could be certified as localhost, whatever its role says.
        "allow_localhost": False,
        "allow_subdomains": False,
        "allow_wildcard_certificates": False,
        "allowed_domains": domains,
        "allowed_ip_sans_cidr": addresses,
        "client_flag": True,
        "key_bits": 256,
        "key_type": "ec",
        "max_ttl": host_days * DAY_SECONDS,
        "not_after_bound": "forbid",
        "not_before_bound": "forbid",
        "not_before_duration": CLOCK_SKEW_SECONDS,
        "server_flag": True,
        "ttl": host_days * DAY_SECONDS,
    }


def ensure_engine(bao: OpenBao, changes: Changes, mount: str) -> bool:
    """Mount the engine; returns whether it is there, which it is not in check mode before the first run."""
    found = (bao.read("sys/mounts") or {}).get(mount + "/")
    if found is None:
        if not changes.record(f"secret engine {mount}", None, "pki"):
            return False
        settings = {"type": "pki", "config": {"max_lease_ttl": f"{LONGEST_SECONDS}s"}}
        bao.write(f"sys/mounts/{mount}", settings)
    elif found["type"] != "pki":
        raise OpenBaoError(
            f"{mount} is a secret engine of type {found['type']}, not pki. Choose another path. Nothing was changed."
        )
    return True


def present_issuer(bao: OpenBao, mount: str) -> str:
    """The certificate of the engine's default authority; empty when there is none."""
    if not (bao.read(f"{mount}/config/issuers") or {}).get("default"):
        return ""
    return str((bao.read(f"{mount}/issuer/default") or {})["certificate"])


def request(bao: OpenBao, params: dict[str, t.Any]) -> str:
    """Have a new key made inside OpenBao; returns the request for its certificate."""
    wanted = {"common_name": params["common_name"], "key_type": "ec", "key_bits": 256}
    return str(bao.write(f"{params['mount']}/intermediate/generate/internal", wanted)["data"]["csr"])


def certify(bao: OpenBao, params: dict[str, t.Any]) -> None:
    """Hand the certificate over and let it be the one that certifies; earlier ones stay for those they certified."""
    mount = params["mount"]
    handed = bao.write(f"{mount}/intermediate/set-signed", {"certificate": params["certificate"]})["data"]
    issuer = (handed["imported_issuers"] or handed["existing_issuers"])[0]
    bao.write(f"{mount}/config/issuers", {"default": issuer})


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_OPTIONS,
            **LOGIN_OPTIONS,
            # Used on the controller, by the action plugin.
            "authority_dir": {"type": "path", "required": True},
            "valid_days": {"type": "int", "default": 1825},
            "renew_days": {"type": "int", "default": 365},
            "mount": {"type": "str", "default": "pki"},
            "common_name": {"type": "str", "default": "Composer hosts"},
            "name": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "host_days": {"type": "int", "default": 30},
            "state": {"type": "str", "choices": ["present", "request", "certified"], "default": "present"},
            "certificate": {"type": "str"},
        },
        required_if=[["state", "certified", ["certificate"]]],
        supports_check_mode=True,
    )
    params = module.params
    changes = Changes(module.check_mode)
    result: dict[str, t.Any] = {"issuer": "", "reason": ""}
    try:
        bao = OpenBao(params["url"], params["ca_path"])
        bao.wait_until_ready(params["wait"])
        bao.login(params["username"], params["password"])
        try:
            mount, name = params["mount"], params["name"]
            if params["state"] == "request":
                result["csr"] = request(bao, params)
            elif params["state"] == "certified":
                certify(bao, params)
            elif ensure_engine(bao, changes, mount):
                settings = role_settings(params["names"], params["host_days"])
                ensure(bao, changes, f"{mount}/roles/{name}", settings, f"certificates of {name}")
                rules = f'path "{mount}/sign/{name}" {{\n  capabilities = ["update"]\n}}\n'
                ensure(bao, changes, f"sys/policies/acl/{name}", {"policy": rules}, f"policy {name}")
                result["issuer"] = present_issuer(bao, mount)
        finally:
            bao.logout()
    except OpenBaoError as problem:
        module.fail_json(msg=str(problem), changed=bool(changes) and not module.check_mode)
    module.exit_json(changed=bool(changes), diff=changes.diff(), **result)


if __name__ == "__main__":
    main()
