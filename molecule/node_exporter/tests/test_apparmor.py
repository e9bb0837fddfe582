"""Prometheus knows how much AppArmor has denied, wherever the host keeps it.

A container has no AppArmor of its own: the tests write the log as auditd does. Entries of the kernel in the
journal cannot be made from here; tests/unit/node_exporter gives the program such a journal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

UNITS = ["composer-apparmor-metrics"]
LOG = "/var/log/audit/audit.log"
STATE = "/var/lib/composer-host-metrics/apparmor.json"
DENIED = (
    'apparmor="{verdict}" operation="open" class="file" profile="/usr/sbin/mariadbd" name="/etc/shadow"'
    ' pid=812 comm="mariadbd" requested_mask="r" denied_mask="r" fsuid=104 ouid=0'
    '\x1dFSUID="mysql" OUID="root"'
)
ON_THE_BUS = (
    'pid=611 uid=100 auid=4294967295 ses=4294967295 subj=unconfined msg=\'apparmor="DENIED"'
    ' operation="dbus_method_call" bus="system" path="/org/freedesktop/login1" mask="send" pid=990'
    ' label="/usr/sbin/named" peer_pid=590 peer_label="unconfined" exe="/usr/bin/dbus-daemon" sauid=100'
    ' hostname=? addr=? terminal=?\'\x1dUID="messagebus" AUID="unset" SAUID="messagebus"'
)


class Audit:
    """The log of auditd on one host."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self._number = 100

    def write(self, text: str, kind: str = "AVC", *, age: int = 0, event: int = 0, end: str = "\n") -> None:
        """Append a record of an event that is some seconds old; without its number, of a new one."""
        self._number += 1
        number = event or self._number
        now = int(self._host.run("date +%s").stdout)
        line = f"type={kind} msg=audit({now - age}.{number % 1000:03}:{number}): {text}{end}"
        assert self._host.run("printf %s %s >> %s", "%s", line, LOG).succeeded

    def deny(self, times: int = 1) -> None:
        """Append records of denials."""
        for _ in range(times):
            self.write(DENIED.format(verdict="DENIED"))

    def rotate(self) -> None:
        """As auditd does when its file is full; four old ones are kept."""
        for number in (3, 2, 1):
            self._host.run(f"[ ! -e {LOG}.{number} ] || mv {LOG}.{number} {LOG}.{number + 1}")
        assert self._host.run(f"mv {LOG} {LOG}.1").succeeded


@pytest.fixture
def audit(host: Any) -> Iterator[Audit]:
    """A host that has counted nothing yet; afterwards it is one again."""
    clean = f"rm -rf {LOG} {LOG}.* {STATE}; systemctl reset-failed composer-apparmor-metrics"
    host.run(clean)
    yield Audit(host)
    host.run(clean)


def denials(host: Any, neighbour: Any) -> int:
    """What an observer is told once the collector has looked."""
    assert host.run("systemctl start composer-apparmor-metrics").succeeded
    return told(host, neighbour)


def told(host: Any, neighbour: Any) -> int:
    url = f"https://{neighbour.address_of(host)}:9100/metrics"
    certificate = "--cert /etc/ssl/composer/host.crt --key /etc/ssl/composer/host.key"
    figures = neighbour.run(f"curl -sS -m 10 {certificate} {url}").stdout
    assert "\nnode_textfile_scrape_error 0" in figures
    found = re.search(r"^composer_apparmor_denials_total (\S+)$", figures, re.MULTILINE)
    assert found, figures
    return int(float(found[1]))


def test_what_auditd_was_told_of_is_counted_and_nothing_else(host: Any, neighbour: Any, audit: Audit) -> None:
    assert denials(host, neighbour) == 0
    audit.write("op=start ver=4.0.2 format=enriched kernel=6.12.48 auid=4294967295 pid=520", "DAEMON_START")
    audit.deny(3)
    audit.write(ON_THE_BUS, "USER_AVC")
    audit.write(DENIED.format(verdict="ALLOWED"))
    audit.write('apparmor="STATUS" operation="profile_load" profile="unconfined" name="lsb_release" pid=530')
    # What a person types is no denial.
    audit.write('cwd="/root" cmd=677265702061 apparmor="DENIED" terminal=pts/0 res=success', "USER_CMD")
    # Before this start of the host.
    audit.write(DENIED.format(verdict="DENIED"), age=40_000_000)
    assert denials(host, neighbour) == 4
    assert denials(host, neighbour) == 4


def test_an_event_with_several_denials_counts_each(host: Any, neighbour: Any, audit: Audit) -> None:
    audit.write(DENIED.format(verdict="DENIED"), event=777)
    audit.write(DENIED.format(verdict="DENIED"), event=777)
    assert denials(host, neighbour) == 2


def test_a_record_that_is_being_written_counts_when_it_is_there(
    host: Any, neighbour: Any, audit: Audit
) -> None:
    audit.deny()
    audit.write(DENIED.format(verdict="DENIED"), end="")
    assert denials(host, neighbour) == 1
    host.run(f"echo >> {LOG}")
    assert denials(host, neighbour) == 2


def test_a_rotation_loses_nothing_and_doubles_nothing(host: Any, neighbour: Any, audit: Audit) -> None:
    audit.deny(2)
    assert denials(host, neighbour) == 2
    # Not seen before it was moved, not even in the next file, which was moved as well.
    audit.deny()
    audit.rotate()
    audit.deny()
    audit.rotate()
    # Between the two steps of a rotation there is no file of this name.
    assert denials(host, neighbour) == 4
    audit.deny()
    assert denials(host, neighbour) == 5
    # What is rotated away was counted.
    host.run(f"rm {LOG}.1 {LOG}.2")
    assert denials(host, neighbour) == 5
    # The file at hand is replaced by somebody: its records are new, or known by their numbers.
    host.run(f"sed -i '1i type=CWD msg=audit(1.000:1): cwd=\"/\"' {LOG}")
    audit.deny()
    assert denials(host, neighbour) == 6


def test_without_its_memory_it_counts_what_the_logs_still_hold(
    host: Any, neighbour: Any, audit: Audit
) -> None:
    audit.deny(2)
    audit.rotate()
    audit.deny()
    assert denials(host, neighbour) == 3
    for damage in (f"rm {STATE}", f"echo half > {STATE}", f'sed -i \'s/"boot": "/&another-/\' {STATE}'):
        assert host.run(damage).succeeded
        assert denials(host, neighbour) == 3


def test_a_log_that_cannot_be_read_is_told_and_leaves_the_figure(
    host: Any, neighbour: Any, audit: Audit
) -> None:
    audit.deny()
    assert denials(host, neighbour) == 1
    host.run(f"rm {LOG}; mkdir {LOG}")
    assert host.run("systemctl start composer-apparmor-metrics").failed
    said = host.run("journalctl --unit composer-apparmor-metrics --output cat --lines 20").stdout
    assert "Is a directory" in said and "The figures of AppArmor are as they were." in said
    assert told(host, neighbour) == 1
