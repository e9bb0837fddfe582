#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Install Debian packages, without waking apt when all are there
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Looks into dpkg's own list first, which takes milliseconds, and calls M(ansible.builtin.apt) only when a package is missing.
  - On an unchanged host apt takes longer than everything else that a role does.
  - Installed packages are not upgraded; that is left to the automatic security updates.
options:
  name:
    description: Packages that must be installed.
    type: list
    elements: str
    required: true
  install_recommends:
    description: Whether to install what the packages recommend.
    type: bool
    default: false
  cache_valid_time:
    description: Seconds for which a list of available packages is fresh enough.
    type: int
    default: 3600
attributes:
  check_mode:
    description:
      - Says what would be installed, also on a host that has no list of packages yet.
    support: full
  diff_mode:
    description: Shows the packages that apt would install.
    support: full
seealso:
  - module: ansible.builtin.apt
"""

EXAMPLES = r"""
- name: Install
  euconquisto.composer.packages:
    name: [nftables]
"""

RETURN = r"""
missing:
  description: Packages that were not installed before.
  returned: always
  type: list
  elements: str
"""
