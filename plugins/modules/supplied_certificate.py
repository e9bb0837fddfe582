#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: supplied_certificate
short_description: Judge a certificate that the operator supplies, before a host gets it
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Works on the controller only and changes nothing.
  - >-
    Fails with everything that is wrong: a key that does not belong to the certificate or has a passphrase, a certificate
    of the chain that has expired or is not valid yet, names that are missing, uses that are not allowed, an order of
    the chain that does not lead to the authority.
  - The result names files and contains no secret; give a file's content to M(euconquisto.composer.config_tree).
requirements:
  - cryptography (on the controller)
options:
  certificate:
    description: File on the controller with the certificate, followed by its issuers in order, in PEM form.
    type: path
    required: true
  key:
    description: File on the controller with the key, in PEM form. It may be encrypted with ansible-vault.
    type: path
    required: true
  authority:
    description: File on the controller with the authorities that the certificate must descend from.
    type: path
    required: true
  names:
    description: Host names and addresses for which the certificate must be valid.
    type: list
    elements: str
    required: true
  uses:
    description: What the certificate must be allowed to be.
    type: list
    elements: str
    choices: [server, client]
    default: [server]
  renew_days:
    description: Warn when fewer days are left.
    type: int
    default: 30
attributes:
  check_mode:
    description: Judges in check mode too.
    support: full
  diff_mode:
    description: There is nothing to show, because nothing is changed.
    support: none
seealso:
  - module: euconquisto.composer.host_certificate
"""

EXAMPLES = r"""
- name: Judge the front door's certificate
  euconquisto.composer.supplied_certificate:
    certificate: /srv/certificates/front.crt
    key: /srv/certificates/front.key
    authority: /etc/ssl/certs/ca-certificates.crt
    names: [composer.example.org]
  register: __example_certificate
"""

RETURN = r"""
available:
  description: Always true; the same as of M(euconquisto.composer.host_certificate).
  returned: success
  type: bool
certificate_path:
  description: The certificate on the controller.
  returned: success
  type: str
key_path:
  description: Its key on the controller.
  returned: success
  type: str
authority_path:
  description: The authorities on the controller.
  returned: success
  type: str
subject:
  description: Whose certificate it is.
  returned: success
  type: str
issuer:
  description: Who issued it.
  returned: success
  type: str
names:
  description: Names and addresses for which it is valid.
  returned: success
  type: list
  elements: str
not_after:
  description: When the first certificate of the chain expires, in UTC.
  returned: success
  type: str
"""
