# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Let the private authority on the controller certify the one in OpenBao.

Documentation: `plugins/modules/openbao_pki.py`, which does what has to be done in OpenBao.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.euconquisto.composer.plugins.plugin_utils.authority import (
    IMPORT_PROBLEM,
    Authority,
    AuthorityError,
)


class ActionModule(ActionBase):
    """The action plugin `openbao_pki`."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make engine, role and policy; then have the intermediate authority certified, if need be."""
        super().run(tmp, task_vars)
        if IMPORT_PROBLEM is not None:
            raise AnsibleActionFail(
                "The controller lacks the Python library cryptography, which issues the certificates. "
                f"Install it where ansible-playbook runs: pip install cryptography. ({IMPORT_PROBLEM})"
            )
        result = self._call(task_vars)
        if result.get("failed"):
            return result
        given = self._task.args
        authority = Authority(Path(given["authority_dir"]).expanduser(), "", 0)
        try:
            reason = authority.doubt(result["issuer"].encode(), int(given.get("renew_days", 365)))
            if reason is None:
                return result
            result.update(changed=True, reason=reason)
            result["diff"]["after"]["intermediate authority"] = f"certified anew: {reason}"
            if self._task.check_mode:
                return result
            asked = self._call(task_vars, state="request")
            if asked.get("failed"):
                return asked
            issuer = authority.certify(asked["csr"].encode(), int(given.get("valid_days", 1825))).decode()
        except AuthorityError as error:
            raise AnsibleActionFail(str(error)) from error
        handed = self._call(task_vars, state="certified", certificate=issuer)
        return handed if handed.get("failed") else {**result, "issuer": issuer}

    def _call(self, task_vars: dict[str, Any] | None, **more: str) -> dict[str, Any]:
        return self._execute_module(module_args={**self._task.args, **more}, task_vars=task_vars)
