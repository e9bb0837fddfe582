"""Prometheus knows when each declared backup of a host succeeded last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

UNITS = ["composer-backup-metrics"]
# A play over ssh takes its time on a busy machine.
pytestmark = pytest.mark.timeout(480)
METRIC = "composer_backup_last_success_timestamp_seconds"
FILE = "/var/lib/prometheus/node-exporter/composer_backup.prom"
STAMP = "/var/lib/site-backup/database.stamp"
HOMES = 'people\'s \\"homes\\"'


def ages(host: Any, neighbour: Any) -> dict[str, float]:
    """What an observer is told, by the backup's name."""
    url = f"https://{neighbour.address_of(host)}:9100/metrics"
    certificate = "--cert /etc/ssl/composer/host.crt --key /etc/ssl/composer/host.key"
    told = neighbour.run(f"curl -sS -m 10 {certificate} {url}").stdout
    assert "\nnode_textfile_scrape_error 0" in told
    lines = [line.rsplit(" ", 1) for line in told.splitlines() if line.startswith(f"{METRIC}{{")]
    return {
        series.removeprefix(f'{METRIC}{{name="').removesuffix('"}'): float(value) for series, value in lines
    }


@pytest.fixture
def stamps(host: Any) -> Iterator[None]:
    """Afterwards no backup has ever succeeded."""
    yield
    host.run("rm -rf /var/lib/site-backup /root/homes.stamp; systemctl reset-failed composer-backup-metrics")


def test_a_backup_that_never_succeeded_is_infinitely_old(host: Any, neighbour: Any) -> None:
    assert host.run("systemctl start composer-backup-metrics").succeeded
    assert ages(host, neighbour) == {"database": 0, HOMES: 0}


def test_a_backup_is_as_old_as_its_stamp_wherever_that_lies(host: Any, neighbour: Any, stamps: None) -> None:
    host.run("mkdir -m 0700 /var/lib/site-backup; chown games:games /var/lib/site-backup")
    host.run(f"touch -d @1700000000 {STAMP}; touch -d @1710000000 /root/homes.stamp")
    assert host.run("systemctl start composer-backup-metrics").succeeded
    assert ages(host, neighbour) == {"database": 1700000000, HOMES: 1710000000}
    host.run(f"touch -d @1720000000 {STAMP}")
    assert host.run("systemctl start composer-backup-metrics").succeeded
    assert ages(host, neighbour)["database"] == 1720000000


def test_a_stamp_that_is_none_is_told_beside_the_others(host: Any, neighbour: Any, stamps: None) -> None:
    host.run(f"mkdir -p {STAMP}; touch -d @1710000000 /root/homes.stamp")
    assert host.run("systemctl start composer-backup-metrics").failed
    assert ages(host, neighbour) == {"database": 0, HOMES: 1710000000}
    said = host.run("journalctl --unit composer-backup-metrics --output cat --lines 20").stdout
    assert f"{STAMP}: it is not a regular file. Its backup is told as never done." in said


def test_figures_that_find_no_room_leave_the_former_ones(host: Any, neighbour: Any, stamps: None) -> None:
    folder = FILE.rpartition("/")[0]
    host.run(f"mount -t tmpfs -o size=8k full {folder}; touch -d @1710000000 /root/homes.stamp")
    try:
        assert host.run("systemctl start composer-backup-metrics").succeeded
        former = host.run(f"stat --format '%i %Y %a %U' {FILE}; cat {FILE}").stdout
        assert "1710000000" in former
        assert host.run(f"head -c 1M /dev/zero > {folder}/ballast").failed
        host.run("touch /root/homes.stamp")
        assert host.run("systemctl start composer-backup-metrics").failed
        assert host.run(f"stat --format '%i %Y %a %U' {FILE}; cat {FILE}").stdout == former
    finally:
        host.run(f"umount {folder}")


@pytest.mark.parametrize(
    ("backups", "told"),
    [
        ([{"name": "twice", "stamp": "/srv/a"}, {"name": "twice", "stamp": "/srv/b"}], "has a name twice"),
        ([{"name": "gone", "stamp": "/var/tmp/stamp"}], "lies below /tmp or /var/tmp"),
        ([{"name": "nowhere", "stamp": "stamp"}], "is no absolute path"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    hosts: Any, play: Any, backups: list[dict[str, str]], told: str
) -> None:
    declared = "/etc/composer-node-exporter/backups.json"
    before = [host.file(declared).content_string for host in hosts]
    done = play(node_exporter_backups=backups)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert told in said and "Nothing was changed." in said
    assert [host.file(declared).content_string for host in hosts] == before
