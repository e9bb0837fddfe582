#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Judge the whole inventory before any host is touched
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Runs on the controller only. Fails with every problem found, each with the variable's name and what was expected.
  - Every group of the composition must exist.
  - A variable that begins like a role's variable must be one; otherwise the nearest valid name is suggested.
  - Every variable of the roles that a host gets must be of its type, and those without a default must be set.
  - A value that depends on facts is left for the role's own validation, which runs once the host was reached.
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: There is nothing to differ.
    support: none
"""

EXAMPLES = r"""
- name: Judge the inventory
  euconquisto.composer.preflight:
  run_once: true
"""

RETURN = r"""
msg:
  description: All problems found, one a line.
  returned: failure
  type: str
"""
