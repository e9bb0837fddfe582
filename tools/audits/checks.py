"""What the programs that read our files say of them: nft, sshd, systemd-analyze verify."""

from __future__ import annotations

from collections.abc import Sequence

from tools.audits.machines import Machine
from tools.audits.pages import Page, table

CHECKS = {
    # What is loaded at boot; a host without it has no firewall, and nft says so.
    "firewall rules": "nft --check --file /etc/composer-firewall/confirmed.nft",
    "ssh settings": "sshd -t",
    "units": "cd /etc/systemd/system && systemd-analyze verify --man=no --recursive-errors=no"
    " composer-*.service composer-*.timer composer-*.path composer-*.target",
}
# Of the hundred settings, those that decide who gets in and what they can do then.
SSH_SETTINGS = (
    "permitrootlogin", "authenticationmethods", "passwordauthentication", "kbdinteractiveauthentication",
    "permitemptypasswords", "hostbasedauthentication", "ignorerhosts", "maxauthtries", "maxsessions",
    "maxstartups",
    "logingracetime", "clientaliveinterval", "clientalivecountmax", "tcpkeepalive", "allowtcpforwarding",
    "allowstreamlocalforwarding", "allowagentforwarding", "gatewayports", "permittunnel", "x11forwarding",
    "permituserenvironment", "strictmodes", "requiredrsasize", "loglevel", "banner", "hostkey",
    "hostkeyalgorithms",
    "kexalgorithms", "ciphers", "macs",
)  # fmt: skip


def settings(said: str) -> dict[str, str]:
    """What `sshd -T` prints, by name."""
    return dict(line.split(" ", 1) for line in said.splitlines() if " " in line)


def audit(machines: Sequence[Machine]) -> Page:
    """Run each check on each host; anything but silence and status 0 is open."""
    page = Page(
        "checks",
        "Files, judged by the programs that read them",
        "Whether `nft`, `sshd` and `systemd-analyze verify` accept what the roles wrote; what sshd reads.",
        {
            f"{package} (Debian {one.release})": one.version(package)
            for one in machines
            for package in ("nftables", "openssh-server", "systemd")
        },
    )
    rows = []
    for name, command in CHECKS.items():
        for machine in machines:
            status, said = machine.run(command, seconds=120)
            accepted = status == 0 and not said.strip()
            rows.append(
                [
                    name,
                    f"`{command}`",
                    f"Debian {machine.release}",
                    "accepted" if accepted else said,
                ]
            )
            if not accepted:
                page.unexplained.append(
                    f"Debian {machine.release}: {name}: {' '.join(said.split()) or f'status {status}'}"
                )
    page.result = f"{len(rows) - len(page.unexplained)} of {len(rows)} accepted without a word"
    page.sections.append(table(["what", "command", "host", "answer"], rows))
    effective = [settings(machine.output("sshd -T")) for machine in machines]
    page.sections.append(
        "## What sshd makes of its settings\n"
        "From `sshd -T`, with what our files leave to the default.\n\n"
        + table(
            ["setting", *(f"Debian {one.release}" for one in machines)],
            [
                [name, *(" ".join(one.get(name, "").replace(",", ", ").split()) for one in effective)]
                for name in SSH_SETTINGS
            ],
        )
    )
    return page
