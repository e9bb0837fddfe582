#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: units
short_description: Have systemd units run, now and from every boot on
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Asks systemd for the state of all units at once, which takes milliseconds, and calls M(ansible.builtin.systemd_service)
    only for those that do not run or are not enabled.
  - A unit that cannot be enabled, because nothing wants it or something else starts it, only has to run.
options:
  name:
    description: Units that must run.
    type: list
    elements: str
    required: true
  daemon_reload:
    description: Whether systemd must read its units again first.
    type: bool
    default: false
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: There is nothing to show but the names.
    support: none
seealso:
  - module: ansible.builtin.systemd_service
"""

EXAMPLES = r"""
- name: Run
  euconquisto.composer.units:
    name: [composer-certificate.path, composer-certificate.timer]
"""

RETURN = r"""
units:
  description: Units that were started or enabled, or in check mode would be.
  returned: always
  type: list
  elements: str
"""
