# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Judge the whole inventory on the controller, before any host is touched.

Documentation: `plugins/modules/preflight.py`. The judgements: `plugins/plugin_utils/inspection.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.plugins.action import ActionBase

from ansible_collections.euconquisto.composer.plugins.plugin_utils.composition import Composition
from ansible_collections.euconquisto.composer.plugins.plugin_utils.inspection import (
    LATER,
    Evaluate,
    missing_groups,
    refused_values,
    unknown_variables,
    wrong_values,
)

# Undefined now, defined once the hosts have been reached.
KNOWN_LATER = re.compile(r"\bansible_facts\b|\bansible_local\b|'__\w+'")
NOISE = re.compile(r"^Error rendering template: ")


def _told(error: Exception) -> str:
    return NOISE.sub("", str(error).splitlines()[0]).rstrip(".")


def _of_roles(composition: Composition, own: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a host as its roles see them, weakest first."""
    roles = composition.roles_of(own["group_names"])
    scope: dict[str, Any] = {}
    for role in roles:
        scope.update(composition.defaults(role))
    scope.update(own)
    for role in roles:
        scope.update(composition.vars(role))
    return scope


class ActionModule(ActionBase):
    """The action plugin `preflight`."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _VALID_ARGS = frozenset()

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect every complaint; fail with all of them."""
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        groups, hostvars = variables["groups"], variables["hostvars"]
        composition = Composition(self._read)
        complaints: dict[str, list[str]] = {}
        for host in groups["all"]:
            own = hostvars.raw_get(host)
            evaluate = self._evaluator({**_of_roles(composition, own), "hostvars": hostvars})
            for complaint in [
                *unknown_variables(composition, sorted(own)),
                *wrong_values(composition, own["group_names"], own, evaluate),
                *refused_values(composition, own["group_names"], evaluate),
            ]:
                complaints.setdefault(complaint, []).append(host)
        told = missing_groups(composition, groups)
        for complaint, hosts in complaints.items():
            where = "every host" if len(hosts) == len(groups["all"]) else ", ".join(hosts)
            told.append(f"{complaint} [{where}]")
        result.update(changed=False)
        if told:
            problems = "problem" if len(told) == 1 else "problems"
            result.update(
                failed=True,
                msg="\n".join(
                    [
                        f"{len(told)} {problems} in the inventory; nothing was changed on any host:",
                        *(f"- {t}" for t in told),
                    ]
                ),
            )
        return result

    def _evaluator(self, scope: dict[str, Any]) -> Evaluate:
        templar = self._templar.copy_with_new_env(available_variables=scope)

        def evaluate(name: str) -> Any:
            try:
                return templar.template(scope[name])
            except AnsibleUndefinedVariable as error:
                if KNOWN_LATER.search(str(error)):
                    return LATER
                raise LookupError(_told(error)) from error
            except AnsibleError as error:
                raise LookupError(_told(error)) from error

        return evaluate

    def _read(self, path: Path) -> Any:
        return self._loader.load_from_file(str(path), trusted_as_template=True)
