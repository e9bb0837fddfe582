# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Install Debian packages, without waking apt when all are there.

Documentation: `plugins/modules/packages.py`.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

UNKNOWN = "No package matching"


class ActionModule(ActionBase):
    """The action plugin `packages`."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("name", "install_recommends", "cache_valid_time"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look first; install what is missing."""
        super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            argument_spec={
                "name": {"type": "list", "elements": "str", "required": True},
                "install_recommends": {"type": "bool", "default": False},
                "cache_valid_time": {"type": "int", "default": 3600},
            },
        )
        looked = self._execute_module(
            module_name="euconquisto.composer.packages_missing",
            module_args={"name": arguments["name"]},
            task_vars=task_vars,
        )
        if looked.get("failed") or not looked.get("missing"):
            return looked
        installed = self._execute_module(
            module_name="ansible.builtin.apt",
            module_args={**arguments, "name": looked["missing"]},
            task_vars=task_vars,
        )
        if self._task.check_mode and UNKNOWN in str(installed.get("msg")):
            # A dry run does not fetch the archive's list, which a new host may lack.
            return {
                **looked,
                "changed": True,
                "msg": "To be installed; the host has no package list yet.",
            }
        return {**installed, "missing": looked["missing"]}
