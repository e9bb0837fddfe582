#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: config_tree_apply
short_description: The part of config_tree that runs on the host
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Used by M(euconquisto.composer.config_tree), which renders on the controller and sends one payload. Do not call it yourself.
options:
  payload:
    description:
      - The entries to bring about, as compressed JSON in base64. One opaque value, so that neither logs nor
        the module's invocation show contents.
    type: str
    required: true
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns a diff for each file that is not a secret.
    support: full
seealso:
  - module: euconquisto.composer.config_tree
"""

EXAMPLES = r"""
- name: Use config_tree, which calls this module
  euconquisto.composer.config_tree:
"""

RETURN = r"""
changed_paths:
  description: Paths that differed.
  returned: always
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.euconquisto.composer.plugins.module_utils.config_tree import (
    ConfigTreeError,
    Tree,
    unpack,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={"payload": {"type": "str", "required": True, "no_log": True}},
        supports_check_mode=True,
    )
    tree = Tree(
        entries=unpack(module.params["payload"]),
        check=module.check_mode,
        want_diff=module._diff,
        run_command=module.run_command,
        # In memory where possible: the copy that a validator reads may hold a secret.
        staging="/run" if os.access("/run", os.W_OK) else None,
    )
    try:
        outcome = tree.apply()
    except ConfigTreeError as error:
        module.fail_json(msg=str(error), changed_paths=tree.changed_paths, changed=bool(tree.changed_paths))
    else:
        module.exit_json(**outcome)


if __name__ == "__main__":
    main()
