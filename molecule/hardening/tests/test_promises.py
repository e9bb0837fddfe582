"""A host that offers less to attack."""

from __future__ import annotations

from typing import Any

import pytest

UNITS = ["ssh", "composer-ssh-settings-revert", "systemd-sysctl"]


def ssh_settings(host: Any) -> dict[str, str]:
    """What sshd does, as it understands its own files."""
    lines = host.run("sshd -T").stdout.splitlines()
    return dict(line.split(" ", 1) for line in lines if " " in line)


def test_a_password_opens_no_door(host: Any, neighbour: Any) -> None:
    host.run("useradd --create-home visitor; echo visitor:correct-password | chpasswd")
    answer = neighbour.run(
        "ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes -o PubkeyAuthentication=no -v"
        f" visitor@{neighbour.address_of(host)} true || exit 1"
    )
    offered = [line for line in answer.stderr.splitlines() if "Authentications that can continue" in line]
    assert offered and all("password" not in line and "keyboard" not in line for line in offered)


def test_tunnels_and_agents_are_not_forwarded(host: Any) -> None:
    settings = ssh_settings(host)
    for setting in ("allowtcpforwarding", "allowagentforwarding", "x11forwarding", "permittunnel"):
        assert settings[setting] == "no"


def test_ssh_settings_that_nobody_confirms_are_withdrawn(host: Any) -> None:
    """The mistake that locks everybody out, and no operator to mend it."""
    candidate, refused = "/etc/composer-hardening/ssh.conf", "/etc/composer-hardening/ssh.refused"
    host.run(f"cp -p {candidate} /root/ssh.conf; echo 'AllowUsers nobody' >> {candidate}")
    assert host.run("composer-ssh-settings try 3").stdout.strip() == "on trial"
    assert "AllowUsers nobody" in host.run("cat /etc/ssh/sshd_config.d/10-composer.conf").stdout
    assert host.run(f"timeout 30 sh -c 'until [ -e {refused} ]; do sleep 0.1; done'").succeeded
    back = "while grep -q ^AllowUsers.nobody /etc/ssh/sshd_config.d/10-composer.conf; do sleep 0.1; done"
    assert host.run(f"timeout 30 sh -c '{back}'").succeeded
    host.run(f"mv /root/ssh.conf {candidate}; rm {refused}")
    assert host.run("composer-ssh-settings try 3").stdout.strip() == "unchanged"


def test_a_play_that_would_lock_itself_out_fails_with_a_sentence_and_the_host_lets_it_in_again(
    hosts: list[Any], play: Any
) -> None:
    """Root comes with a key in this scenario, and these settings refuse root."""
    done = play(hardening_ssh_root_login="no", hardening_ssh_confirm_seconds=10)
    told = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    for host in hosts:
        name = host.backend.get_hostname()
        assert f"ssh settings of {name}: the change was not confirmed (no new connection: " in told
        assert ssh_settings(host)["permitrootlogin"] == "without-password"
        status = host.run("composer-ssh-settings status").stdout
        assert status.startswith("the settings of before are in force;") and status.strip() in told
    again = play()
    assert again.returncode == 0, again.stdout[-2000:]
    for host in hosts:
        status = host.run("composer-ssh-settings status").stdout
        assert status.strip() == "the confirmed settings are in force."
        assert host.run("composer-ssh-settings confirm").rc == 1


def test_a_trial_does_not_survive_a_restart_of_the_host(host: Any) -> None:
    folder, settings = "/etc/composer-hardening", "/etc/ssh/sshd_config.d/10-composer.conf"
    host.run(f"cp -p {folder}/ssh.conf /root/ssh.conf; echo '# mistake' >> {folder}/ssh.conf")
    assert host.run("composer-ssh-settings try 300").stdout.strip() == "on trial"
    # What a restart does: the clock is gone, and the boot target starts what it wants.
    host.run("systemctl stop composer-ssh-settings-revert.timer; systemctl daemon-reload")
    assert "composer-ssh-settings.service" in host.run("systemctl show -P Wants multi-user.target").stdout
    assert host.run("systemctl start composer-ssh-settings.service").succeeded
    assert "mistake" not in host.file(settings).content_string
    host.run(f"mv /root/ssh.conf {folder}/ssh.conf; rm {folder}/ssh.refused")
    assert host.run("composer-ssh-settings try 3").stdout.strip() == "unchanged"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        # Those that a container has of its own; the others need a machine's kernel.
        ("net.ipv4.conf.all.accept_redirects", "0"),
        ("net.ipv4.conf.all.send_redirects", "0"),
        ("net.ipv4.conf.all.rp_filter", "1"),
        ("net.ipv4.tcp_syncookies", "1"),
    ],
)
def test_kernel_parameters_are_in_force(host: Any, parameter: str, value: str) -> None:
    assert host.run("sysctl -n %s", parameter).stdout.strip() == value


def test_only_security_updates_of_debian_install_themselves(host: Any) -> None:
    settings = host.run("apt-config dump").stdout
    assert 'APT::Periodic::Unattended-Upgrade "1"' in settings
    origins = [
        line for line in settings.splitlines() if line.startswith("Unattended-Upgrade::Origins-Pattern::")
    ]
    assert len(origins) == 1 and "Debian-Security" in origins[0]
    assert host.run("systemctl is-enabled apt-daily-upgrade.timer").stdout.strip() == "enabled"


def test_chromium_can_still_build_its_sandbox(host: Any) -> None:
    assert host.run("runuser -u nobody -- unshare --user true").succeeded
