# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Judge a supplied certificate on the controller.

Documentation: `plugins/modules/supplied_certificate.py`. The judgement: `plugins/plugin_utils/supplied.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.euconquisto.composer.plugins.plugin_utils.authority import IMPORT_PROBLEM
from ansible_collections.euconquisto.composer.plugins.plugin_utils.supplied import Demands, Refused, judge


class ActionModule(ActionBase):
    """The action plugin `supplied_certificate`."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _VALID_ARGS = frozenset(("certificate", "key", "authority", "names", "uses", "renew_days"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Judge; fail with everything that is wrong. Changes nothing, so check mode is no different."""
        result = super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            argument_spec={
                "certificate": {"type": "path", "required": True},
                "key": {"type": "path", "required": True, "no_log": False},
                "authority": {"type": "path", "required": True},
                "names": {"type": "list", "elements": "str", "required": True},
                "uses": {
                    "type": "list",
                    "elements": "str",
                    "choices": ["server", "client"],
                    "default": ["server"],
                },
                "renew_days": {"type": "int", "default": 30},
            },
        )
        if IMPORT_PROBLEM is not None:
            raise AnsibleActionFail(
                "The controller lacks the Python library cryptography, which reads the certificates. "
                f"Install it where ansible-playbook runs: pip install cryptography. ({IMPORT_PROBLEM})"
            )
        files = {name: arguments[name] for name in ("certificate", "key", "authority")}
        try:
            judged = judge(
                *(self._read(path) for path in files.values()), Demands(arguments["names"], arguments["uses"])
            )
        except Refused as refused:
            raise AnsibleActionFail(
                f"The certificate {files['certificate']} with the key {files['key']} and the authority "
                f"{files['authority']} cannot be used:\n"
                + "".join(f"- {complaint}\n" for complaint in refused.complaints)
                + "Nothing was changed: the host keeps the certificate that it has."
            ) from None
        if judged.days_left < arguments["renew_days"]:
            result["warnings"] = [
                f"{files['certificate']} expires in {judged.days_left} days, on {judged.ends:%Y-%m-%d}. "
                "Supply its successor."
            ]
        result.update(
            changed=False,
            available=True,
            certificate_path=files["certificate"],
            key_path=files["key"],
            authority_path=files["authority"],
            subject=judged.subject,
            issuer=judged.issuer,
            names=list(judged.names),
            not_after=judged.ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        return result

    def _read(self, path: str) -> bytes:
        if not Path(path).is_file():
            raise AnsibleActionFail(
                f"{path} is not there. Certificate, key and authority are supplied on the controller. "
                "Nothing was changed: the host keeps the certificate that it has."
            )
        # The loader decrypts what ansible-vault has encrypted.
        try:
            return self._loader.get_text_file_contents(path).encode()
        except AnsibleError as error:
            raise AnsibleActionFail(
                f"{path} cannot be read on the controller: {error}. "
                "Nothing was changed: the host keeps the certificate that it has."
            ) from None
