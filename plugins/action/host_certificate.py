# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Issue a host's certificate from the private authority on the controller.

Documentation: `plugins/modules/host_certificate.py`. The authority: `plugins/plugin_utils/authority.py`.
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
    Wanted,
)


class ActionModule(ActionBase):
    """The action plugin `host_certificate`."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _VALID_ARGS = frozenset(
        ("authority_dir", "authority_name", "authority_days", "name", "names", "valid_days", "renew_days")
    )

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Issue, or in check mode say what would be issued."""
        result = super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            argument_spec={
                "authority_dir": {"type": "path", "required": True},
                "authority_name": {"type": "str", "default": "Composer private authority"},
                "authority_days": {"type": "int", "default": 3650},
                "name": {"type": "str", "required": True},
                "names": {"type": "list", "elements": "str", "required": True},
                "valid_days": {"type": "int", "default": 365},
                "renew_days": {"type": "int", "default": 60},
            },
        )
        if IMPORT_PROBLEM is not None:
            raise AnsibleActionFail(
                "The controller lacks the Python library cryptography, which issues the certificates. "
                f"Install it where ansible-playbook runs: pip install cryptography. ({IMPORT_PROBLEM})"
            )
        authority = Authority(
            Path(arguments["authority_dir"]), arguments["authority_name"], arguments["authority_days"]
        )
        wanted = Wanted(
            arguments["name"], tuple(arguments["names"]), arguments["valid_days"], arguments["renew_days"]
        )
        try:
            issued = authority.issue(wanted, check=self._task.check_mode)
        except AuthorityError as error:
            raise AnsibleActionFail(str(error)) from error
        result.update(
            changed=issued.reason is not None,
            reason=issued.reason or "",
            available=issued.certificate.exists() and issued.key.exists(),
            certificate_path=str(issued.certificate),
            key_path=str(issued.key),
            authority_path=str(issued.authority),
        )
        if issued.reason and self._task.diff:
            result["diff"] = {
                "before_header": str(issued.certificate),
                "after_header": str(issued.certificate),
                "before": f"{issued.reason}\n",
                "after": f"a new certificate for {', '.join(wanted.names)}\n",
            }
        return result
