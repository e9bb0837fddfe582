# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Says for an operator why apt, or a module's start, failed on a host, what to do, and what was changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

UNTOUCHED = "No package was installed or removed on this host."
AGAIN = "then run this again."

LOCKED = re.compile(
    r"(?:Could not get lock|Failed to lock|Unable to (?:acquire|lock) [a-z ]+) \(?(/[^\s,)]+?)(?:[.,)\s]|$)"
)
HOLDER = re.compile(r"It is held by process (\d+) \(([^)]*)\)")
UNKNOWN = re.compile(r"No package matching '([^']*)'")
#: dpkg was killed while it wrote down what it did; apt refuses until that is read.
INTERRUPTED = re.compile(r"dpkg was interrupted")
UNREACHED = re.compile(r"Failed to update apt cache")
NOT_GIVEN = re.compile(r"E: (?:Failed to fetch|Unable to fetch)|Fetched .* failed|[Hh]ash [Ss]um mismatch")
FULL = re.compile(r"No space left on device|enough free space in|No usable temporary directory")
READ_ONLY = re.compile(r"Read-only file system")
ERROR = re.compile(r"^E: (.+)$", re.MULTILINE)


def said(result: Mapping[str, Any]) -> str:
    """All that a failed module, or Python before it, has to say."""
    return "\n".join(
        str(result[key]) for key in ("msg", "stderr", "module_stderr", "exception") if key in result
    )


def of_start(result: Mapping[str, Any]) -> str | None:
    """Why a module could not even begin, or None when that was not the host's disk."""
    told = said(result)
    if FULL.search(told):
        reason = "its disk is full: not even Ansible's own files of a few kilobytes found room"
        remedy = (
            "Make room (`df -h`, `df -i`; often `apt-get clean` and `journalctl --vacuum-size=200M` help)"
        )
    elif READ_ONLY.search(told):
        reason = "its file system is read-only, as the kernel makes it when a disk has errors"
        remedy = "Mend it (`journalctl -k`, `findmnt`) and mount it writable"
    else:
        return None
    return f"Nothing can be done on this host: {reason}. {remedy}, {AGAIN} Nothing was changed on it."


def of_apt(
    result: Mapping[str, Any],
    names: Sequence[str],
    missing: Sequence[str],
    lock_seconds: int,
    holder: str | None = None,
) -> str:
    """Why apt failed with the packages `names`.

    `missing` are those that no archive of the host offers, `holder` is who was seen to work with packages.
    """
    told = said(result)
    complaints = "; ".join(dict.fromkeys(ERROR.findall(told))) or str(result.get("msg", "")).strip()
    wanted = ", ".join(names)
    if locked := LOCKED.search(told):
        # Where its patience is at an end apt tells the lock, and only while it waits the process.
        waited = HOLDER.search(f"{told}\n{result.get('stdout', '')}")
        who = holder or (f"process {waited[1]} ({waited[2]})" if waited else "somebody")
        return (
            f"Another program has been working with packages for {lock_seconds} s: {who} holds {locked[1]}, "
            f"and {wanted} must wait for it. See what it does (`fuser -v {locked[1]}`; unattended-upgrades: "
            f"`journalctl -u apt-daily-upgrade`). Let it finish, or end it if it hangs, {AGAIN} {UNTOUCHED}"
        )
    if UNKNOWN.search(told):
        lacking = list(missing) or UNKNOWN.findall(told)
        return (
            f"No package archive of this host offers {', '.join(lacking)}. Is the name right for this "
            f"release of Debian (`apt-cache policy {lacking[0]}`), and does a file in "
            "/etc/apt/sources.list.d name an archive that has it? Mend that, `apt-get update`, "
            f"{AGAIN} {UNTOUCHED}"
        )
    if UNREACHED.search(told):
        return (
            f"The lists of the package archive cannot be fetched, so {wanted} cannot be installed: "
            f"{complaints}. See whether this host reaches the archive (names, proxy, "
            f"firewall_host_outgoing), {AGAIN} {UNTOUCHED}"
        )
    if NOT_GIVEN.search(told):
        return (
            f"The archive does not give what it announces for {wanted}: {complaints}. "
            "A mirror that is being renewed has this for minutes, an old list until `apt-get update`. "
            f"Mend that, {AGAIN} {UNTOUCHED}"
        )
    state = "`dpkg --audit` names packages that are unpacked and not set up; the next run goes on from there."
    if FULL.search(told):
        return (
            f"No room for {wanted}: {complaints}. Make room (`df -h`, `df -i`; often `apt-get clean` and "
            f"`journalctl --vacuum-size=200M` help), {AGAIN} {state}"
        )
    return f"apt failed with {wanted}: {complaints}. Mend what it names, {AGAIN} {state}"


def without_candidate(names: Sequence[str], policy: str) -> list[str]:
    """Those of the packages that `apt-cache policy` knows no version of."""
    offered = set(
        re.findall(r"^(\S+):\r?\n(?:  Installed: .*\n)?  Candidate: (?!\(none\))", policy, re.MULTILINE)
    )
    return [name for name in names if name not in offered]
