# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Put a change in force that could lock the operator out, and confirm it over a new connection.

Documentation: `plugins/modules/trial.py`.
"""

from __future__ import annotations

import shlex
import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

# Between two attempts to connect; each of them has the connection's own time limit besides.
PAUSE_SECONDS = 2
# How much later than its limit a host may let us in again: its timer's accuracy, and TCP's own pauses.
GRACE_SECONDS = 120


class ActionModule(ActionBase):
    """The action plugin `trial`."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("program", "seconds", "what"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Try, connect anew, confirm; else say what the host has restored."""
        super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            argument_spec={
                "program": {"type": "str", "required": True},
                "seconds": {"type": "int", "default": 45},
                "what": {"type": "str", "required": True},
            },
        )
        program, what, seconds = arguments["program"], arguments["what"], int(arguments["seconds"])
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "msg": f"{what}: nothing is tried in check mode."}
        end = time.monotonic() + seconds
        try:
            tried = self._call(program, "try", str(seconds))
        except AnsibleConnectionFailure as error:
            # The answer may have been the first thing that the change refused.
            problem = f"the connection broke: {error}"
        else:
            if tried.get("rc", 1):
                return {**tried, "failed": True, "msg": f"{what}: not tried. {said(tried)}"}
            if tried["stdout"].strip() == "unchanged":
                return {"changed": False, "state": "unchanged"}
            confirmed, problem = self._until(end, program, "confirm")
            if confirmed is not None and confirmed.get("rc") == 0:
                return {"changed": True, "state": "confirmed"}
            problem = f"the host refused: {said(confirmed)}" if confirmed is not None else problem
        # Only when its time is over does the host's answer say what stays in force.
        time.sleep(max(0.0, end + PAUSE_SECONDS - time.monotonic()))
        status, silence = self._until(end + GRACE_SECONDS, program, "status")
        told = f"{what}: the change was not confirmed ({problem})"
        if status is None:
            return {
                "failed": True,
                "unreachable": True,
                "msg": f"{told}, and {GRACE_SECONDS} s after its limit of {seconds} s the host still lets "
                f"nobody in ({silence}). Use its console: {program} revert",
            }
        return {
            "failed": True,
            "changed": False,
            "state": "restored",
            "msg": f"{told}. The host: {status.get('stdout', '').strip() or said(status)}",
        }

    def _until(self, end: float, *command: str) -> tuple[dict[str, Any] | None, str]:
        """Call over a new connection, again until the end; the result or None, and the last problem."""
        problem = "its time was over"
        while time.monotonic() < end:
            try:
                # Whatever was let in before proves nothing.
                self._connection.reset()
                return self._call(*command), ""
            except AnsibleConnectionFailure as error:
                problem = f"no new connection: {error}"
                time.sleep(PAUSE_SECONDS)
        return None, problem

    def _call(self, *command: str) -> dict[str, Any]:
        """By the host's own shell: a module would take longer than the look itself.

        With something to read ssh gives the program no terminal. With one it would be hung up when the change
        cuts the connection, and its errors would be in colour.
        """
        done: dict[str, Any] = self._low_level_execute_command(shlex.join(command), in_data=b"\n")
        return done


def said(result: dict[str, Any]) -> str:
    """What a program, or Ansible in its place, said about its failure."""
    return str(result.get("stderr") or result.get("msg") or result.get("stdout") or "").strip()
