#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Have Debian packages installed or removed, without waking apt when all are as declared
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Looks into dpkg's own list first, which takes milliseconds, and calls M(ansible.builtin.apt) only when something is to be done.
  - On an unchanged host apt takes longer than everything else that a role does.
  - Installed packages are not upgraded; that is left to the automatic security updates.
  - What dpkg did not finish, because the host or a run was stopped in the middle of it, is finished first.
  - Every package that no archive offers is named before the first one is installed.
options:
  name:
    description: Packages that must be installed, or must not be.
    type: list
    elements: str
    required: true
  state:
    description: Whether the packages must be there. With V(absent) their configuration goes too.
    type: str
    choices: [present, absent]
    default: present
  install_recommends:
    description: Whether to install what the packages recommend.
    type: bool
    default: false
  cache_valid_time:
    description: Seconds for which a list of available packages is fresh enough.
    type: int
    default: 3600
  lock_seconds:
    description:
      - Seconds to wait while another program works with packages. The error after that names the program.
    type: int
    default: 300
attributes:
  check_mode:
    description:
      - Says what would be installed or removed, also on a host that has no list of packages yet.
    support: full
  diff_mode:
    description: Shows what apt would do.
    support: full
seealso:
  - module: ansible.builtin.apt
"""

EXAMPLES = r"""
- name: Install
  euconquisto.composer.packages:
    name: [nftables]

- name: Remove
  euconquisto.composer.packages:
    name: [telnet, rsh-client]
    state: absent
"""

RETURN = r"""
missing:
  description: Those of the packages that were not installed before.
  returned: always
  type: list
  elements: str
"""
