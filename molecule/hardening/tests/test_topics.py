"""What each topic promises. What a container cannot show is compiled or compared."""

from __future__ import annotations

import re
from typing import Any

import pytest

UNITS = ["auditd", "systemd-journald", "composer-mounts", "apt-daily-upgrade.timer"]


def as_person(host: Any, command: str) -> Any:
    """What happens when somebody with an ordinary account logs in and runs a command."""
    host.run("id person >/dev/null 2>&1 || useradd --create-home --shell /bin/bash person")
    return host.run("su --login person -c %s", command)


def test_the_last_word_on_each_kernel_parameter_is_ours(host: Any) -> None:
    """Most of them belong to the machine, not to a container: so the files are read as systemd reads them."""
    last: dict[str, str] = {}
    for line in host.run("systemd-analyze cat-config sysctl.d").stdout.splitlines():
        if found := re.match(r"-?([\w.*/-]+)\s*=\s*(.+)$", line):
            last[found[1].replace("/", ".")] = found[2].strip()
    ours = host.file("/etc/sysctl.d/99-zz-composer.conf").content_string
    wanted = dict(re.findall(r"^-([\w.]+) = (.+)$", ours, re.MULTILINE))
    assert len(wanted) > 30 and {name: last[name] for name in wanted} == wanted
    assert wanted["fs.protected_fifos"] == "2" and wanted["kernel.unprivileged_userns_clone"] == "1"


def test_a_module_that_nobody_uses_is_not_loaded(host: Any) -> None:
    shown = host.file("/etc/modprobe.d/composer-hardening.conf").content_string
    for module in ("dccp", "usb-storage", "squashfs"):
        assert f"install {module} /bin/false" in shown


def test_sudo_looks_for_programs_in_no_folder_at_hand(host: Any) -> None:
    assert "Ignore '.' in $PATH" in host.run("sudo -V").stdout


def test_wrong_passwords_lock_an_account_and_its_time_is_told(host: Any) -> None:
    host.run("id guessed >/dev/null 2>&1 || useradd guessed; echo guessed:Tall-kettle-71-river | chpasswd")
    host.run("faillock --user guessed --reset")
    for _ in range(5):
        host.run("runuser -u nobody -- sh -c 'echo wrong | su guessed -c true'")
    counted = host.run("faillock --user guessed").stdout
    assert len(re.findall(r"\bV\b", counted)) >= 5
    right = host.run("runuser -u nobody -- sh -c 'echo Tall-kettle-71-river | su guessed -c true'")
    assert right.failed
    host.run("faillock --user guessed --reset")
    assert host.run("runuser -u nobody -- sh -c 'echo Tall-kettle-71-river | su guessed -c true'").succeeded


@pytest.mark.parametrize("password", ["short-1A", "aaaaaaaaaaaaaaaaaaaa", "Password12345678"])
def test_a_weak_password_is_refused(host: Any, password: str) -> None:
    host.run("id chooser >/dev/null 2>&1 || useradd chooser")
    assert host.run(f"printf '%s\\n%s\\n' '{password}' '{password}' | passwd chooser").failed


def test_a_good_password_is_accepted_once(host: Any) -> None:
    host.run("userdel novel; useradd novel")
    first, second = "Tall-kettle-71-river", "Blue-anchor-38-lantern"
    assert host.run(f"echo novel:{first} | chpasswd").succeeded
    assert host.run(f"echo novel:{second} | chpasswd").succeeded
    assert host.run(f"echo novel:{first} | chpasswd").failed


def test_new_files_of_people_are_not_for_everybody_and_those_of_root_are(host: Any) -> None:
    assert as_person(host, "umask").stdout.strip() == "0027"
    assert host.run("su --login root -c umask").stdout.strip() == "0022"
    host.run(
        "echo 'person ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/person; chmod 0440 /etc/sudoers.d/person"
    )
    assert as_person(host, "sudo sh -c umask").stdout.strip() == "0022"
    host.run("rm /etc/sudoers.d/person")


def test_nothing_in_world_writable_memory_runs(host: Any) -> None:
    host.run("cp /usr/bin/true /dev/shm/planted")
    assert host.run("/dev/shm/planted").failed
    host.run("rm /dev/shm/planted")


def test_nothing_on_a_partition_of_logs_runs(host: Any) -> None:
    """A container has no partitions: one in memory stands for it."""
    host.run("mkdir -p /var/log/audit && mount -t tmpfs tmpfs /var/log/audit")
    host.run("systemctl restart composer-mounts")
    host.run("cp /usr/bin/true /var/log/audit/planted")
    planted = host.run("/var/log/audit/planted")
    host.run("umount /var/log/audit")
    assert planted.rc == 126, planted


def test_no_core_dump_is_written(host: Any) -> None:
    assert as_person(host, "ulimit -Hc").stdout.strip() == "0"
    assert host.run("systemctl show --property=DefaultLimitCORE --value").stdout.strip() == "0"


def test_only_root_schedules(host: Any) -> None:
    # Not cron.d: what the auditors install brings it anew, and the next run of the role narrows it.
    assert as_person(host, "ls /etc/cron.daily").failed
    assert host.file("/etc/cron.allow").content_string.strip() == "root"


def test_audit_rules_are_what_the_compiler_understands(host: Any) -> None:
    """The kernel refuses rules from a container; auditctl reads each of them before it asks the kernel."""
    assert host.run("augenrules --check").stdout.strip().endswith("No change")
    merged = host.file("/etc/audit/audit.rules").content_string
    assert merged.count("-F key=") > 20
    said = host.run("auditctl -R /etc/audit/audit.rules 2>&1").stdout
    assert not re.search(
        r"syntax|unknown|invalid|not recognized|unrecognized|bad|missing", said, re.IGNORECASE
    )


def test_no_unit_failed_because_of_the_role(host: Any) -> None:
    assert host.run("systemctl --failed --no-legend").stdout.strip() == ""


def test_apparmor_profiles_compile_and_the_service_starts_with_the_host(host: Any) -> None:
    assert host.run("systemctl is-enabled apparmor.service").stdout.strip() == "enabled"
    profiles = "find /etc/apparmor.d -maxdepth 1 -type f -print0 | xargs -0 -r apparmor_parser -Q -K"
    assert host.run(profiles).succeeded


def test_the_journal_is_kept_and_bounded(host: Any) -> None:
    shown = host.run("systemd-analyze cat-config systemd/journald.conf").stdout
    assert "SystemMaxUse=1G" in shown and "Storage=persistent" in shown
    assert host.run("ls -d /var/log/journal/*/").succeeded


def test_hosts_take_turns_within_the_maintenance_window(host: Any, neighbour: Any) -> None:
    def turn(of: Any) -> str:
        shown = of.run("systemctl show apt-daily-upgrade.timer --property=TimersCalendar").stdout
        return str(re.findall(r"OnCalendar=\*-\*-\* (\d\d:\d\d)", shown)[-1])

    turns = sorted([turn(host), turn(neighbour)])
    assert turns == ["03:00", "03:30"]


def test_services_that_use_a_replaced_library_are_restarted(host: Any) -> None:
    script = "our %nrconf; do '/etc/needrestart/needrestart.conf'; print $nrconf{restart}"
    assert host.run("perl -e %s", script).stdout.strip() == "a"
    assert host.run("apt-config dump").stdout.count("--force-confold") == 1


def test_the_banner_tells_nothing_of_the_system(host: Any, neighbour: Any) -> None:
    for path in ("/etc/issue", "/etc/issue.net"):
        text = host.file(path).content_string
        assert "authorized use only" in text and "Debian" not in text
    shown = neighbour.run(
        "ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes -o PubkeyAuthentication=no"
        f" nobody@{neighbour.address_of(host)} true || exit 1"
    )
    assert "authorized use only" in shown.stderr
    greeting = host.run("timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/22; head -1 <&3'").stdout
    assert greeting.startswith("SSH-2.0-OpenSSH") and "debian" not in greeting.lower()


def test_ssh_exchanges_keys_that_a_quantum_computer_does_not_break(host: Any, neighbour: Any) -> None:
    classic = neighbour.run(
        "ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes -o KexAlgorithms=curve25519-sha256"
        f" nobody@{neighbour.address_of(host)} true || exit 1"
    )
    assert "no matching key exchange" in classic.stderr
    offered = host.run("sshd -T").stdout
    assert re.search(r"^kexalgorithms (?:sntrup761\S+|mlkem768\S+)$", offered, re.MULTILINE)


def test_nobody_enters_without_a_password(host: Any) -> None:
    entries = [line.split(":") for line in host.file("/etc/shadow").content_string.splitlines()]
    assert entries and [name for name, password, *_ in entries if not password] == []


def test_rights_are_narrow(host: Any) -> None:
    assert as_person(host, "cat /etc/ssh/sshd_config").failed
    assert as_person(host, "ls /root").failed
    assert host.file("/usr/lib/openssh/ssh-keysign").mode == 0o755
    assert host.run("systemctl is-enabled ctrl-alt-del.target").stdout.strip() == "masked"


def test_postgresql_haproxy_and_credentials_work_on_such_a_host(host: Any) -> None:
    secret = "systemd-run --pipe --wait --collect --quiet -p DynamicUser=yes -p SetCredential=x:hidden"
    assert host.run(f"{secret} sh -c 'cat $CREDENTIALS_DIRECTORY/x'").stdout.strip() == "hidden"
    host.run("pg_lsclusters -h | grep -q . || pg_createcluster $(ls /usr/lib/postgresql) main")
    assert host.run(
        "pg_ctlcluster $(ls /usr/lib/postgresql) main start || pg_lsclusters | grep online"
    ).succeeded
    assert host.run("runuser -u postgres -- psql -Atc 'select 1'").stdout.strip() == "1"
    host.run("pg_ctlcluster $(ls /usr/lib/postgresql) main stop")


def test_chromium_draws_a_page_in_its_sandbox(host: Any) -> None:
    drawn = host.run(
        "runuser -u nobody -- timeout 90 chromium-headless-shell --user-data-dir=/tmp/hardening-probe"
        " --dump-dom 'data:text/html,<b>drawn</b>'; rm -rf /tmp/hardening-probe"
    )
    assert "<b>drawn</b>" in drawn.stdout
