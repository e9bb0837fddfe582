"""Updates replace what there is to replace, tell what is wrong before, and can be repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

UNITS = ["probe"]
# A play over ssh takes its time on a busy machine.
pytestmark = pytest.mark.timeout(600)
HOLDER = (
    "import fcntl, signal; lock = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(lock, fcntl.LOCK_EX);"
    " open('/run/held', 'w'); signal.pause()"
)


def version(host: Any) -> str:
    return str(host.package("probe").version)


def started(host: Any) -> str:
    return str(
        host.run("systemctl show --property ExecMainStartTimestampMonotonic --value probe").stdout.strip()
    )


def until(host: Any, condition: str) -> None:
    assert host.run(f"timeout 20 sh -c 'until {condition}; do sleep 0.1; done'").succeeded, condition


def told(done: Any) -> str:
    """What a play said, without the line breaks of its layout."""
    return " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def offered(hosts: Any) -> Iterator[list[Any]]:
    """Hosts with version 2, whose archive offers a newer one; afterwards their archive is as before."""
    for host in hosts:
        assert host.run(f"archive {version(host)}.1").succeeded
    yield hosts
    for host in hosts:
        host.run(f"rm -f /run/probe-refuses; archive {version(host)}; apt-get update -q; apt-get clean")


def test_the_package_was_replaced_and_its_service_restarted(host: Any) -> None:
    assert version(host) == "2.0"
    assert host.service("probe").is_running
    # Its process is the new program's, not one whose file is gone.
    process = host.run("systemctl show --property MainPID --value probe").stdout.strip()
    assert host.run(f"readlink /proc/{process}/exe").stdout.strip() == "/usr/lib/probe/probe"


def test_the_policy_that_held_services_still_is_taken_back(host: Any) -> None:
    assert not host.file("/usr/sbin/policy-rc.d").exists


def test_a_dry_run_says_what_would_be_replaced_and_replaces_nothing(offered: Any, play: Any) -> None:
    state = "ls -lR /var/lib/apt/lists /var/cache/apt /var/tmp"
    before = [(version(host), started(host), host.run(state).stdout) for host in offered]
    done = play("--check", "-v")
    assert done.returncode == 0 and done.stdout.count("changed=0") == len(offered)
    assert told(done).count("new: 2.0.1") == len(offered), told(done)
    assert [(version(host), started(host), host.run(state).stdout) for host in offered] == before


def test_a_held_lock_is_waited_for_then_told_with_its_holder(offered: Any, play: Any) -> None:
    for host in offered:
        host.run(f'systemd-run --collect --unit=holder python3 -c "{HOLDER}"')
        until(host, "[ -e /run/held ]")
    done = play()
    for host in offered:
        host.run("systemctl stop holder; rm /run/held")
    assert done.returncode != 0
    said = told(done)
    assert said.count("Another program has been working with packages for 5 s: process ") >= len(offered)
    assert "holds /var/lib/dpkg/lock-frontend" in said and "python3 -c import fcntl" in said
    assert said.count("Nothing was changed on this host.") >= len(offered)
    assert [version(host) for host in offered] == ["2.0"] * len(offered)
    # Released in time, it only costs time.
    for host in offered:
        host.run(f'systemd-run --collect --unit=holder python3 -c "{HOLDER}"')
        until(host, "[ -e /run/held ]")
        host.run("systemd-run --collect --on-active=25 systemctl stop holder")
    assert play(patch_lock_seconds=240).returncode == 0
    assert [version(host) for host in offered] == ["2.0.1"] * len(offered)
    for host in offered:
        host.run("rm /run/held")


def test_a_disk_without_room_is_told_before_anything_is_written(offered: Any, play: Any) -> None:
    before = [version(host) for host in offered]
    for host in offered:
        assert host.run("mount -t tmpfs -o size=20m small /var/cache/apt/archives").succeeded
    done = play()
    for host in offered:
        assert not host.run("find /var/cache/apt/archives -name '*.deb'").stdout
        host.run("umount /var/cache/apt/archives")
    assert done.returncode != 0
    said = told(done)
    assert re.search(
        r"Too little room: /var/cache/apt/archives has (19|20) MB free and needs 50\d MB", said
    ), said
    assert [version(host) for host in offered] == before
    assert all(not host.run("dpkg --audit").stdout for host in offered)


def test_a_package_that_the_archive_lacks_is_told_before_anything_is_replaced(
    offered: Any, play: Any
) -> None:
    before = [(version(host), started(host)) for host in offered]
    for host in offered:
        host.run("rm /srv/archive/probe.deb")
    done = play()
    assert done.returncode != 0
    assert "The archive does not give what it announces: " in told(done) and "probe.deb" in told(done)
    assert [(version(host), started(host)) for host in offered] == before


def test_an_archive_that_cannot_be_reached_is_told(hosts: Any, play: Any) -> None:
    for host in hosts:
        host.run("mv /srv/archive /srv/away")
    done = play()
    for host in hosts:
        host.run("mv /srv/away /srv/archive")
    assert done.returncode != 0
    assert "The lists of the package archive cannot be fetched: " in told(done)


def test_an_update_that_broke_off_in_the_middle_is_finished_by_the_next_run(offered: Any, play: Any) -> None:
    new = [f"{version(host)}.1" for host in offered]
    for host in offered:
        host.run("touch /run/probe-refuses")
    done = play()
    assert done.returncode != 0 and "probe refuses to be set up" in told(done)
    for host in offered:
        assert "half configured" in host.run("dpkg --audit").stdout
        assert not host.file("/usr/sbin/policy-rc.d").exists
        host.run("rm /run/probe-refuses; echo ours > /etc/probe.conf")
    assert play().returncode == 0
    for host, expected in zip(offered, new, strict=True):
        assert version(host) == expected and host.service("probe").is_running
        assert not host.run("dpkg --audit").stdout
        # A file that somebody has changed is kept.
        assert host.file("/etc/probe.conf").content_string == "ours\n"


def test_a_service_that_does_not_come_back_is_told_with_its_journal(offered: Any, play: Any) -> None:
    dropin = "/run/systemd/system/probe.service.d/broken.conf"
    for host in offered:
        host.run(f"mkdir -p {dropin.rpartition('/')[0]}")
        host.run(f"printf '[Service]\\nType=notify\\nExecStart=\\nExecStart=/bin/false\\n' > {dropin}")
    done = play()
    for host in offered:
        host.run(f"rm {dropin}; systemctl daemon-reload; systemctl restart probe")
    assert done.returncode != 0
    assert "probe.service does not restart. The end of its journal:" in told(done)


def boot(host: Any) -> str:
    return str(host.run("cut -d' ' -f22 /proc/1/stat").stdout.strip())


def test_a_due_reboot_is_done_where_it_is_allowed(hosts: Any, play: Any) -> None:
    for host in hosts:
        host.run("echo probe > /run/reboot-required.pkgs; touch /run/reboot-required")
    before = [boot(host) for host in hosts]
    assert play(patch_reboot="never").returncode == 0
    assert [boot(host) for host in hosts] == before
    assert play().returncode == 0
    after = [boot(host) for host in hosts]
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert not any(host.file("/run/reboot-required").exists for host in hosts)
