"""The controls of dev-sec's baselines, point by point: what they ask, whether we do, and a look at the host.

The controls are described in our own words in waivers/devsec-*.yml. `see` is a command that succeeds on a
host which does what the control asks, or what we do instead; what has none cannot be seen in a container.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tools.audits.machines import Machine
from tools.audits.pages import Page, reasons, table

BASELINES = {"linux-baseline": ("devsec-linux", "devsec-kernel"), "ssh-baseline": ("devsec-ssh",)}
VERDICTS = ("met", "better", "declined", "not applicable")
# Short forms for what is asked most often; each becomes a shell command.
TOOLS = """
sshd_is() { sshd -T | grep -qixE "$1"; }
# Programs with a set-user-id or set-group-id bit, and those that Debian's base has.
privileged() { find / -xdev -type f -perm /6000 -printf '%f\\n'; }
USUAL='unix_chkpwd|dbus-daemon-launch-helper|gpasswd|expiry|sudo|newgrp|chage|chfn|ssh-agent|u?mount|passwd|chsh|su'
client_is() { ssh -G localhost | grep -qixE "$1"; }
# Values as systemd reads all files; a container may not write most of them into its kernel.
sysctl_is() { [ "$(systemd-analyze cat-config sysctl.d | sed -nE "s|^-?$1 *= *||p" | tail -1)" = "$2" ]; }
module_off() { grep -qE "^install $1 /bin/(false|true)" /etc/modprobe.d/*.conf; }
absent() { ! dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
mode_is() { [ "$(stat --format '%U %a' "$1")" = "$2" ]; }
login_is() { grep -qE "^$1[[:space:]]+$2\\$" /etc/login.defs; }
mounted_with() { ! mountpoint -q "$1" || findmnt -n -o OPTIONS "$1" | tr , '\\n' | grep -qx "$2"; }
"""


def look(machine: Machine, control: Mapping[str, Any]) -> str:
    """What a host shows: `yes`, `no`, or `-` where there is no command."""
    if not control.get("see"):
        return "-"
    status, _ = machine.run(f"{TOOLS}\n{control['see']}")
    return "yes" if status == 0 else "no"


def wrong(name: str, control: Mapping[str, Any]) -> list[str]:
    """What is missing in the description of a control."""
    found = []
    if control.get("us") not in VERDICTS:
        found.append(f"{name}: `us` is {control.get('us')!r}, not one of {', '.join(VERDICTS)}")
    found += [f"{name}: `{key}` is empty" for key in ("asks", "why") if not control.get(key)]
    return found


def audit(machines: Sequence[Machine]) -> Page:
    """Look at every control on every host."""
    page = Page(
        "dev-sec",
        "dev-sec's baselines, point by point",
        "Each control of dev-sec's baselines for Linux and ssh: met, met by something better, or declined.",
        {name: reasons(first)["version"] for name, (first, *_) in BASELINES.items()},
    )
    page.sections.append(
        "*Seen* tells what a command on the hosts with Debian 12 and 13 found: that the host does what\n"
        "the control asks, or what we do instead. A dash: a container cannot show it. Kernel parameters\n"
        "are looked up in the files as systemd reads them, because a container may not set them; of\n"
        "mounts only those count that a container has: `/dev`, `/dev/shm`, `/run` and `/tmp`."
    )
    counts: Counter[str] = Counter()
    for name, files in BASELINES.items():
        controls: dict[str, dict[str, Any]] = {}
        for file in files:
            controls |= reasons(file)["controls"]
        jobs = [(machine, one) for one in controls.values() for machine in machines]
        with ThreadPoolExecutor(max_workers=4) as pool:
            seen = list(pool.map(lambda job: look(*job), jobs))
        rows = []
        for number, (control, what) in enumerate(controls.items()):
            page.unexplained += wrong(control, what)
            answers = seen[number * len(machines) : (number + 1) * len(machines)]
            page.unexplained += [
                f"{control} is said to be {what['us']}, but Debian {machine.release} does not show it."
                for machine, answer in zip(machines, answers, strict=True)
                if answer == "no"
            ]
            rows.append([control, what["asks"], what["us"], what["why"], ", ".join(answers)])
            counts[what["us"]] += 1
        page.sections.append(
            f"## {name}\n" + table(["control", "asks for", "us", "where, or why", "seen"], rows)
        )
    page.result = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    return page
