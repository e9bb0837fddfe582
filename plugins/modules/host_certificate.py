#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_certificate
short_description: Issue a host's certificate from a private authority on the controller
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Works on the controller only, with elliptic-curve keys. The authority founds itself on first use.
  - The certificate serves both as a server's and as a client's.
  - It is made anew when there is none, when the names have changed, when another authority signed it,
    or when fewer than O(renew_days) days are left. Each renewal has a new key.
  - The result names files and contains no secret; give a file's content to M(euconquisto.composer.config_tree).
requirements:
  - cryptography (on the controller)
options:
  authority_dir:
    description: Folder of the authority. It must be closed to everybody but its owner (mode C(0700)); keep a backup of it.
    type: path
    required: true
  authority_name:
    description: Common name of the authority.
    type: str
    default: Composer private authority
  authority_days:
    description: Days for which a newly founded authority is valid.
    type: int
    default: 3650
  name:
    description: Name of the host's folder below C(hosts/) in the authority's folder.
    type: str
    required: true
  names:
    description: Host names and addresses for which the certificate is valid. The first is its common name.
    type: list
    elements: str
    required: true
  valid_days:
    description: Days for which the certificate is valid.
    type: int
    default: 365
  renew_days:
    description: Make a new certificate when fewer days are left.
    type: int
    default: 60
attributes:
  check_mode:
    description: Says whether a certificate would be made; makes nothing, not even the authority.
    support: full
  diff_mode:
    description: Shows the reason and the names.
    support: full
"""

EXAMPLES = r"""
- name: Issue the host's certificate
  euconquisto.composer.host_certificate:
    authority_dir: /srv/authority
    name: "{{ inventory_hostname }}"
    names: ["{{ inventory_hostname }}", 192.0.2.10, localhost]
  register: __example_certificate
"""

RETURN = r"""
reason:
  description: Why a certificate was made; empty when the present one will do.
  returned: always
  type: str
available:
  description: Whether the files exist. False only in check mode before the first certificate.
  returned: always
  type: bool
certificate_path:
  description: The certificate on the controller.
  returned: always
  type: str
key_path:
  description: Its key on the controller.
  returned: always
  type: str
authority_path:
  description: The authority's certificate on the controller.
  returned: always
  type: str
"""
