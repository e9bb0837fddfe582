# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Have systemd units run, now and from every boot on, without a module when they do.

Documentation: `plugins/modules/units.py`.
"""

from __future__ import annotations

import itertools
import shlex
from typing import Any

from ansible.plugins.action import ActionBase

#: A shell's own look costs a tenth of a module's way to the host and its start there, for all units at once.
LOOK = "systemctl show --property=LoadState,ActiveState,UnitFileState -- "
RUNNING = {"active", "activating", "reloading"}
TO_BE_ENABLED = {"disabled", "masked", "masked-runtime", "bad"}


class ActionModule(ActionBase):
    """The action plugin `units`."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("name", "daemon_reload"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look first; start and enable what is not as declared."""
        super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            argument_spec={
                "name": {"type": "list", "elements": "str", "required": True},
                "daemon_reload": {"type": "bool", "default": False},
            },
        )
        done: dict[str, Any] = {"changed": False, "units": []}
        if arguments["daemon_reload"]:
            # What systemd has not read yet it cannot tell.
            told = self._service(task_vars, daemon_reload=True)
            if told.get("failed"):
                return told
        for name, (runs, enabled) in self._look(arguments["name"]).items():
            wanted = ({} if runs else {"state": "started"}) | ({} if enabled else {"enabled": True})
            if not wanted:
                continue
            told = self._service(task_vars, name=name, **wanted)
            if told.get("failed"):
                return {**told, **done, "msg": f"{name}: {told.get('msg', 'no reason given')}"}
            if told.get("changed"):
                done = {"changed": True, "units": [*done["units"], name]}
        return done

    def _look(self, names: list[str]) -> dict[str, tuple[bool, bool]]:
        told = self._low_level_execute_command(LOOK + " ".join(map(shlex.quote, names)))
        found = states(told["stdout"])
        if told["rc"] != 0 or len(found) != len(names):
            # Whatever is wrong with them, the module says it better.
            return dict.fromkeys(names, (False, False))
        return dict(zip(names, found, strict=True))

    def _service(self, task_vars: dict[str, Any] | None, **arguments: Any) -> dict[str, Any]:
        done: dict[str, Any] = self._execute_module(
            module_name="ansible.builtin.systemd_service", module_args=arguments, task_vars=task_vars
        )
        return done


def states(told: str) -> list[tuple[bool, bool]]:
    """For each unit that systemctl tells of, whether it runs, and whether it starts at every boot.

    A unit that cannot be enabled, or that something else starts than a link of its own, counts as enabled.
    One that is not there, or may not run, does neither.
    """
    found = []
    for is_told, lines in itertools.groupby(told.splitlines(), key=bool):
        if is_told:
            unit = dict(line.partition("=")[::2] for line in lines)
            there = unit.get("LoadState") == "loaded"
            runs = there and unit.get("ActiveState") in RUNNING
            found.append((runs, there and unit.get("UnitFileState") not in TO_BE_ENABLED))
    return found
