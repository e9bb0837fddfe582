#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: packages_missing
short_description: Say which Debian packages are not installed
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Used by M(euconquisto.composer.packages). Reads dpkg's list of packages and changes nothing.
options:
  name:
    description: Packages to look for.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: There is nothing to differ.
    support: none
seealso:
  - module: euconquisto.composer.packages
"""

EXAMPLES = r"""
- name: Which of these are not installed?
  euconquisto.composer.packages_missing:
    name: [nftables, haproxy]
  register: __example_packages
"""

RETURN = r"""
missing:
  description: Packages that are not installed.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

STATUS = "/var/lib/dpkg/status"


def installed(status):
    """Names of the installed packages in the text of dpkg's status file."""
    names = set()
    for paragraph in status.split("\n\n"):
        if "\nStatus: install ok installed\n" in paragraph and paragraph.startswith("Package: "):
            names.add(paragraph[len("Package: ") : paragraph.index("\n")])
    return names


def main():
    module = AnsibleModule(
        argument_spec={"name": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    try:
        with open(STATUS, encoding="utf-8") as handle:
            present = installed(handle.read())
    except FileNotFoundError:
        module.fail_json(msg=f"{STATUS} does not exist: this host is not a Debian host.")
    module.exit_json(changed=False, missing=[name for name in module.params["name"] if name not in present])


if __name__ == "__main__":
    main()
