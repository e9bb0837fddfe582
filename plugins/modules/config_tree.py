#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: config_tree
short_description: Write a role's whole configuration tree with one remote call
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - >-
    Renders every file below the role's C(templates/) folder on the controller and adds every file below its C(files/)
    folder. Both folders mirror the root of the target, so C(templates/etc/default/example.j2) becomes C(/etc/default/example).
    A template ends in C(.j2), which the target's name lacks.
  - Everything is sent to the host at once. The host writes only what differs, each file atomically.
  - >-
    All validations run, and all new files are written beside the old ones, before the first file is replaced. When a
    validation fails, the disk is full or read-only, nothing has been changed.
  - Names that begin with an underscore are not deployed, so that templates can import from them.
  - A source file with an execute bit is deployed with mode C(0755) unless O(paths) says otherwise.
  - Directories that are missing are made as C(root:root) C(0755). Existing directories are left alone unless O(paths) names them.
  - Nothing is removed unless it is listed in O(absent) or has C(state=absent) in O(paths).
options:
  templates:
    description:
      - Folder with templates, absolute or relative to the role (outside of a role, to the playbook). It may be missing.
    type: str
    default: templates
  files:
    description:
      - Folder with files that are copied as they are, absolute or relative like O(templates). It may be missing.
    type: str
    default: files
  content:
    description:
      - Further files, from absolute path to content. An entry replaces a file of the same path from the folders.
      - The content is written as it is, without a newline being added.
    type: dict
    default: {}
  links:
    description: Symbolic links, from absolute path to what the link points to.
    type: dict
    default: {}
  absent:
    description:
      - Absolute paths of files, links and empty directories that must not exist.
    type: list
    elements: str
    default: []
  paths:
    description:
      - Settings for single paths. A key is an absolute path or a pattern with C(*), C(?) and C([]).
        Patterns apply in the order written, the exact path last.
      - A key that ends in C(/) is a directory; it is created when missing and its owner, group and mode are kept.
      - "Settings are C(owner), C(group), C(mode) (a quoted octal number), C(state) (V(present) or V(absent)),
        C(secret) (boolean) and C(validate)."
      - C(validate) is a command, not a shell line. Its C(%s) is replaced by the path of a copy which has the file's own name.
        In check mode a validation whose program is not installed yet is passed over.
    type: dict
    default: {}
  secret:
    description:
      - Paths or patterns of files whose content never appears in diffs, logs or errors.
    type: list
    elements: str
    default: []
  only:
    description:
      - Paths or patterns. Everything else, also of the options above, is left alone and not even rendered.
      - For a run that is about a part of a role, such as C(--tags) of one of its topics. An empty list means nothing;
        without the option everything is meant.
    type: list
    elements: str
  owner:
    description: Owner of all files and links without one of their own in O(paths).
    type: str
    default: root
  group:
    description: Group of all files and links without one of their own in O(paths).
    type: str
    default: root
  mode:
    description: Mode of all files without one of their own in O(paths); a quoted octal number.
    type: str
    default: "0644"
attributes:
  check_mode:
    description: Can run in check mode, also on a host that lacks the owners, groups and programs named.
    support: full
  diff_mode:
    description: Shows a diff for each file; a secret file only says that it differs.
    support: full
seealso:
  - module: ansible.builtin.template
  - module: euconquisto.composer.config_tree_apply
"""

EXAMPLES = r"""
- name: Configure
  euconquisto.composer.config_tree:
    paths:
      /etc/ssh/sshd_config.d/10-example.conf:
        validate: sshd -t -f %s
      /etc/example/: {group: ssl-cert, mode: "0750"}
      /etc/example/*.key: {group: ssl-cert, mode: "0640", secret: true}
    content:
      /etc/example/host.key: "{{ example_private_key }}"
    absent:
      - /etc/example/old.conf
  notify: Reload example

- name: Configure only the second of two trees of this role
  euconquisto.composer.config_tree:
    templates: templates/worker
    files: files/worker
  register: __example_tree
"""

RETURN = r"""
changed_paths:
  description: Paths that were written, created, relinked or removed, or whose owner, group or mode was mended.
  returned: always
  type: list
  elements: str
  sample: [/etc/ssh/sshd_config.d/10-example.conf]
"""
