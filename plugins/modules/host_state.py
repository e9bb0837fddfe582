#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_state
short_description: Bring rights of existing paths, units and accounts of a host to a declared state with one call
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - What a hardened host has besides its files. What does not exist on the host is passed over, so that one list
    serves hosts with different packages.
  - One call for all of it, because on an unchanged host the way to it takes longer than the look.
options:
  paths:
    description: Rights that existing files and directories have at most.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path or pattern with C(*), C(?) and C([]). Links are not followed.
        type: str
        required: true
      mode:
        description: Bits beyond these are taken away; bits that are missing are not added. A quoted octal number.
        type: str
        required: true
      owner:
        description: Owner that the path must have; as it is without this.
        type: str
  enabled:
    description: Units that start with the host and run now. Units that the host does not have are passed over.
    type: list
    elements: str
    default: []
  masked:
    description: Units that nothing can start.
    type: list
    elements: str
    default: []
  unmasked:
    description: Units that are not masked any more.
    type: list
    elements: str
    default: []
  lock_empty_passwords:
    description: Whether accounts that have an empty password are locked for passwords. Keys still work.
    type: bool
    default: false
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: One line for each thing that differs.
    support: full
seealso:
  - module: euconquisto.composer.config_tree
  - module: ansible.builtin.systemd_service
"""

EXAMPLES = r"""
- name: Rights, units and accounts
  euconquisto.composer.host_state:
    paths:
      - {path: "/etc/cron.*", mode: "0700", owner: root}
      - {path: "/home/*", mode: "0750"}
    enabled: [auditd.service]
    masked: [ctrl-alt-del.target]
"""

RETURN = r"""
changes:
  description: What was, or in check mode would be, brought about.
  returned: always
  type: list
  elements: str
  sample: ["/etc/crontab: 0644 -> 0600"]
"""

import glob
import os
import pwd
import re
import stat

from ansible.module_utils.basic import AnsibleModule

SHADOW = "/etc/shadow"
# A container's own unit files and Debian's links between names are of no interest here.
ENABLED_ENOUGH = {"enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "linked"}


class HostState:
    """What differs, and how it is mended."""

    def __init__(self, run, check):
        self.run = run
        self.check = check
        self.before = []
        self.after = []
        self.changes = []

    def note(self, what, before, after):
        self.before.append(f"{what}: {before}")
        self.after.append(f"{what}: {after}")
        self.changes.append(f"{what}: {before} -> {after}")

    def paths(self, wanted):
        """Take away what is too much."""
        for item in wanted:
            for path in sorted(glob.glob(item["path"])):
                info = os.lstat(path)
                if not stat.S_ISLNK(info.st_mode):
                    self._path(path, info, item)

    def _path(self, path, info, item):
        mode = stat.S_IMODE(info.st_mode)
        allowed = mode & int(item["mode"], 8)
        owner = pwd.getpwnam(item["owner"]).pw_uid if item.get("owner") else info.st_uid
        if owner != info.st_uid:
            self.note(f"{path} owner", info.st_uid, owner)
            if not self.check:
                os.chown(path, owner, -1)
        if allowed != mode:
            self.note(path, f"{mode:04o}", f"{allowed:04o}")
        if not self.check and (allowed != mode or owner != info.st_uid):
            os.chmod(path, allowed)

    def units(self, enabled, masked, unmasked):
        """Start what should run, and forbid what should not."""
        known = self.known_units([*enabled, *masked, *unmasked])
        for unit in [unit for unit in enabled if unit in known]:
            state, active = known[unit]
            if state not in ENABLED_ENOUGH:
                self.note(unit, state, "enabled")
                self._systemctl("enable", "--quiet", unit)
            if active == "failed":
                self.note(unit, "failed", "started")
                self._systemctl("reset-failed", unit)
            if active == "failed" or state not in ENABLED_ENOUGH:
                # A unit whose conditions this host does not meet is not an error: systemd passes it over.
                self._systemctl("start", unit)
        for unit in [unit for unit in masked if known.get(unit, ("", ""))[0] != "masked"]:
            self.note(unit, known.get(unit, ("absent", ""))[0], "masked")
            self._systemctl("mask", "--now", "--quiet", unit)
        for unit in [unit for unit in unmasked if known.get(unit, ("", ""))[0] == "masked"]:
            self.note(unit, "masked", "unmasked")
            self._systemctl("unmask", "--quiet", unit)

    def known_units(self, names):
        """Units that the host has, each with whether it is enabled and whether it is active."""
        if not names:
            return {}
        shown = self.run(
            ["systemctl", "show", "--property=Id,Names,LoadState,UnitFileState,ActiveState", *names]
        )[1]
        units = {}
        for name, block in zip(names, shown.strip().split("\n\n"), strict=True):
            fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            if fields.get("LoadState") == "masked":
                units[name] = ("masked", fields.get("ActiveState", ""))
            elif fields.get("LoadState") == "loaded":
                units[name] = (fields.get("UnitFileState") or "static", fields.get("ActiveState", ""))
        return units

    def empty_passwords(self, shadow):
        """Lock accounts whose password is empty; `shadow` is the text of that file."""
        for name in names_without_password(shadow):
            self.note(f"password of {name}", "empty", "locked")
            if not self.check:
                self._must(["usermod", "--lock", name])

    def _systemctl(self, *words):
        if not self.check:
            self._must(["systemctl", *words])

    def _must(self, command):
        code, out, err = self.run(command)
        if code != 0:
            raise HostStateError(f"`{' '.join(command)}` answered {code}: {err.strip() or out.strip()}")


class HostStateError(Exception):
    """The state could not be brought about; the message is for the operator."""


def names_without_password(shadow):
    """Accounts in the text of the shadow file that anybody could enter."""
    fields = (line.split(":") for line in shadow.splitlines())
    return [field[0] for field in fields if len(field) > 1 and field[1] == ""]


def wrong_modes(paths):
    """Entries whose mode is no octal number, or whose path is not absolute."""
    return [
        item["path"]
        for item in paths
        if not re.fullmatch(r"0?[0-7]{3,4}", item["mode"]) or not item["path"].startswith("/")
    ]


def main():
    path = {
        "path": {"type": "str", "required": True},
        "mode": {"type": "str", "required": True},
        "owner": {"type": "str"},
    }
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "dict", "default": [], "options": path},
            "enabled": names,
            "masked": names,
            "unmasked": names,
            # Says whether, and holds no password.
            "lock_empty_passwords": {"type": "bool", "default": False, "no_log": False},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    if wrong := wrong_modes(wanted["paths"]):
        module.fail_json(
            msg=f"{', '.join(wrong)}: a path must be absolute and its mode a quoted octal number. Nothing was changed."
        )
    state = HostState(module.run_command, module.check_mode)
    try:
        state.paths(wanted["paths"])
        state.units(wanted["enabled"], wanted["masked"], wanted["unmasked"])
        if wanted["lock_empty_passwords"]:
            with open(SHADOW, encoding="utf-8") as handle:
                state.empty_passwords(handle.read())
    except (HostStateError, OSError, KeyError) as problem:
        done = "; ".join(state.changes) or "nothing"
        module.fail_json(msg=f"{problem}. Changed before that: {done}.", changed=bool(state.changes))
    diff = {"before": "\n".join([*state.before, ""]), "after": "\n".join([*state.after, ""])}
    module.exit_json(changed=bool(state.changes), changes=state.changes, diff=diff)


if __name__ == "__main__":
    main()
