# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Have Debian packages installed or removed, without waking apt when all are as declared.

Documentation: `plugins/modules/packages.py`.
"""

from __future__ import annotations

import shlex
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.euconquisto.composer.plugins.plugin_utils.host_faults import (
    INTERRUPTED,
    LOCKED,
    UNKNOWN,
    of_apt,
    of_start,
    said,
    without_candidate,
)

#: A shell's own look costs a tenth of a module's way to the host and its start there.
LOOK = "dpkg-query --show --showformat='${Package} ${db:Status-Status}\\n' -- "
#: What dpkg-query answers when it does not know one of the packages.
SOME_UNKNOWN = 1
#: What dpkg did not finish when the host died; files that were changed are kept.
FINISH = ["dpkg", "--force-confdef", "--force-confold", "--configure", "--pending"]


class ActionModule(ActionBase):
    """The action plugin `packages`."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("name", "state", "install_recommends", "cache_valid_time", "lock_seconds"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look first; install what is missing, or remove what is there."""
        super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            argument_spec={
                "name": {"type": "list", "elements": "str", "required": True},
                "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                "install_recommends": {"type": "bool", "default": False},
                "cache_valid_time": {"type": "int", "default": 3600},
                "lock_seconds": {"type": "int", "default": 300},
            },
        )
        names = arguments.pop("name")
        arguments["lock_timeout"] = lock = arguments.pop("lock_seconds")
        there = self._installed(names)
        missing = [name for name in names if name not in there]
        found = {"changed": False, "missing": missing}
        if arguments["state"] == "absent":
            surplus = [name for name in names if name in there]
            if not surplus:
                return found
            removed = self._apt(task_vars, name=surplus, state="absent", purge=True, lock_timeout=lock)
            return {**removed, "missing": missing}
        if not missing:
            return found
        installed = self._apt(task_vars, name=missing, **arguments)
        if self._task.check_mode and UNKNOWN.search(said(installed)):
            # A dry run does not fetch the archive's list, which a new host may lack.
            return {**found, "changed": True, "msg": "To be installed; the host has no package list yet."}
        return {**installed, "missing": missing}

    def _installed(self, names: list[str]) -> set[str]:
        if not names:
            return set()
        told = self._low_level_execute_command(LOOK + " ".join(map(shlex.quote, names)))
        if told["rc"] not in (0, SOME_UNKNOWN):
            raise AnsibleActionFail(
                f"dpkg-query answered {told['rc']}: {told['stderr'].strip() or 'nothing'}. "
                "Is this a Debian host? Nothing was changed on it."
            )
        return installed(told["stdout"])

    def _apt(self, task_vars: dict[str, Any] | None, **arguments: Any) -> dict[str, Any]:
        done = self._ask_apt(task_vars, arguments)
        if done.get("failed") and INTERRUPTED.search(said(done)) and not self._task.check_mode:
            finished = self._execute_module(
                module_name="ansible.builtin.command",
                module_args={"_raw_params": shlex.join(["env", "DEBIAN_FRONTEND=noninteractive", *FINISH])},
                task_vars=task_vars,
            )
            # What was set up is a change, also where apt then finds nothing to do.
            again = finished if finished.get("failed") else self._ask_apt(task_vars, arguments)
            done = again if again.get("failed") else {**again, "changed": True}
        if not done.get("failed"):
            return done
        names = arguments["name"]
        # Where apt-get itself ran it has something to say.
        told = of_start(done) if "stderr" not in done else None
        if told is None:
            lacking = self._not_offered(names) if UNKNOWN.search(said(done)) else []
            holder = self._holder(task_vars) if LOCKED.search(said(done)) else None
            told = of_apt(done, names, lacking, arguments["lock_timeout"], holder)
        return {**done, "msg": told}

    def _ask_apt(self, task_vars: dict[str, Any] | None, arguments: dict[str, Any]) -> dict[str, Any]:
        done: dict[str, Any] = self._execute_module(
            module_name="ansible.builtin.apt", module_args=arguments, task_vars=task_vars
        )
        return done

    def _holder(self, task_vars: dict[str, Any] | None) -> str | None:
        """Who works with packages now; apt tells it while it waits, and not always."""
        asked = self._execute_module(
            module_name="euconquisto.composer.updates", module_args={"lock_seconds": 0}, task_vars=task_vars
        )
        return f"process {asked['process']} ({asked['program']})" if "process" in asked else None

    def _not_offered(self, names: list[str]) -> list[str]:
        asked = "LC_ALL=C apt-cache policy -- " + " ".join(map(shlex.quote, names))
        return without_candidate(names, self._low_level_execute_command(asked)["stdout"])


def installed(told: str) -> set[str]:
    """Names of the packages that are wholly installed, from what dpkg-query tells."""
    lines = (line.split() for line in told.splitlines())
    return {words[0] for words in lines if len(words) == 2 and words[1] == "installed"}
