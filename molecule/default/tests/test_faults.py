"""A host in trouble: every role says what is wrong and what to do, and leaves nothing half done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# A play over ssh takes its time on a busy machine.
pytestmark = pytest.mark.timeout(300)
ROLE = Path(__file__).parents[1] / "role.yml"
ARCHIVE = Path(__file__).parents[2] / "resources/archive"
HOLDER = (
    "import fcntl, signal, sys; lock = open(sys.argv[1], 'w'); fcntl.lockf(lock, fcntl.LOCK_EX);"
    " open('/run/held', 'w'); signal.pause()"
)
OLD = {"/srv/small/a.conf": "old a\n", "/srv/small/sub/b.conf": "old b\n"}
NEW = {
    "/srv/elsewhere/first.conf": "first\n",
    "/srv/small/a.conf": "new a\n",
    "/srv/small/new/c.conf": "new c\n",
    "/srv/small/sub/b.conf": "b" * 40_000,
}


def told(done: Any) -> str:
    """What a play said, without the line breaks of its layout."""
    return " ".join((done.stdout + done.stderr).split())


def seen(host: Any) -> str:
    """All that a test made below /srv with its rights, and of files the age, size and content."""
    every = r"-type d -printf '%p %M %u:%g\n' -o -printf '%p %M %u:%g %s %T@\n'"
    listing = host.run(f"find /srv/small /srv/elsewhere -name ballast -o {every} | sort")
    return str(listing.stdout + host.run("cat /srv/small/a.conf /srv/small/sub/b.conf").stdout)


@pytest.fixture
def small(hosts: Any, play: Any) -> Iterator[list[Any]]:
    """Hosts with a file system of 64 kB on which a role has written two files."""
    for host in hosts:
        host.run("mkdir /srv/small; mount -t tmpfs -o size=64k,mode=0755 small /srv/small")
    assert play(playbook=ROLE, content=OLD).returncode == 0
    for host in hosts:
        assert host.run("chown games:games /srv/small/a.conf; chmod 0604 /srv/small/a.conf").succeeded
    yield hosts
    for host in hosts:
        host.run("umount /srv/small; rm -r /srv/small /srv/elsewhere")


def refused(small: Any, play: Any, why: str) -> str:
    """A role that cannot write says why of every host, and changes nothing; returns what it said."""
    before = [seen(host) for host in small]
    done = play(playbook=ROLE, content=NEW)
    said = told(done)
    assert done.returncode != 0 and said.count(why) >= len(small), said
    assert said.count("Nothing was changed.") >= len(small)
    assert [seen(host) for host in small] == before
    return said


def test_a_full_disk_is_told_and_every_file_is_as_it_was(small: Any, play: Any) -> None:
    for host in small:
        assert host.run("head -c 1M /dev/zero > /srv/small/ballast").failed
    full = "/srv/small/a.conf cannot be written: the file system on /srv/small is full (0 kB"
    assert "apt-get clean" in refused(small, play, full)
    # Room for some of the files is not enough either.
    for host in small:
        host.run("truncate --size 32K /srv/small/ballast")
    refused(small, play, "/srv/small/sub/b.conf cannot be written: ")
    # With room for all of them the next run finishes.
    for host in small:
        host.run("rm /srv/small/ballast; mount -o remount,size=1m /srv/small")
    assert play(playbook=ROLE, content=NEW).returncode == 0
    for host in small:
        assert host.file("/srv/small/a.conf").content_string == "new a\n"
        assert host.file("/srv/small/sub/b.conf").size == 40_000
        assert not host.run("find /srv -name '.*'").stdout


def test_a_read_only_file_system_is_told_and_every_file_is_as_it_was(small: Any, play: Any) -> None:
    for host in small:
        assert host.run("mount -o remount,ro /srv/small").succeeded
    refused(small, play, "/srv/small/a.conf cannot be written: the file system on /srv/small is read-only.")


@pytest.fixture
def no_room_at_all(hosts: Any) -> Iterator[list[Any]]:
    """Hosts on which not even Python finds a place for a temporary file."""
    for host in hosts:
        # The operator's key stays readable, with which the next connection comes in.
        host.run("cp -a /root /run/root")
        for path in ("/tmp", "/var/tmp", "/root"):
            assert host.run(f"mount -t tmpfs -o size=64k,mode=0700 full {path}").succeeded
        host.run("cp -a /run/root/.ssh /root")
        for path in ("/tmp", "/var/tmp", "/root"):
            assert host.run(f"head -c 1M /dev/zero > {path}/ballast").failed
    yield hosts
    for host in hosts:
        host.run("umount --lazy /tmp /var/tmp /root; rm -r /run/root")


def test_a_host_without_any_room_is_told_by_either_half_of_a_role(no_room_at_all: Any, play: Any) -> None:
    for work in ({"content": {"/etc/x.conf": "x\n"}}, {"packages": ["probe"]}):
        done = play(playbook=ROLE, **work)
        assert done.returncode != 0
        said = told(done)
        assert said.count("Nothing can be done on this host: its disk is full") >= len(no_room_at_all), said
        assert "Nothing was changed on it." in said
    assert not any(host.file("/etc/x.conf").exists for host in no_room_at_all)


@pytest.fixture
def archive(hosts: Any) -> Iterator[list[Any]]:
    """Hosts whose only archive is their own, with one package, `probe`, that is not installed."""
    for host in hosts:
        host.run("cp -a /etc/apt /run/apt; mkdir -p /srv")
        assert host.run("printf '%%s' %s | sh -s 1.0", ARCHIVE.read_text()).succeeded
        # Lists that are a day old are fetched anew, by whoever installs something.
        host.run("rm -f /var/lib/apt/periodic/update-success-stamp; touch -d yesterday /var/lib/apt/lists")
    yield hosts
    for host in hosts:
        host.run(
            "systemctl stop holder; apt-get purge -y probe; rm -r /etc/apt /srv/archive; mv /run/apt /etc/apt"
        )


@pytest.mark.parametrize("lock", ["/var/lib/dpkg/lock-frontend", "/var/lib/apt/lists/lock"])
def test_a_held_lock_is_told_with_its_holder_and_the_next_run_goes_on(
    archive: Any, play: Any, lock: str
) -> None:
    for host in archive:
        host.run(f'systemd-run --collect --unit=holder python3 -c "{HOLDER}" {lock}')
        assert host.run("timeout 20 sh -c 'until [ -e /run/held ]; do sleep 0.1; done'").succeeded
    done = play(playbook=ROLE, packages=["probe"], lock_seconds=3)
    for host in archive:
        host.run("systemctl stop holder; rm /run/held")
    assert done.returncode != 0
    said = told(done)
    assert said.count("Another program has been working with packages for 3 s: process ") >= len(archive), (
        said
    )
    assert f") holds {lock}" in said and "python3 -c import fcntl" in said
    assert said.count("No package was installed or removed on this host.") >= len(archive)
    assert not any(host.package("probe").is_installed for host in archive)
    assert play(playbook=ROLE, packages=["probe"], lock_seconds=3).returncode == 0
    assert all(host.package("probe").is_installed for host in archive)


def test_packages_that_no_archive_has_are_named_and_none_is_installed(archive: Any, play: Any) -> None:
    done = play(playbook=ROLE, packages=["probe", "no-such-package", "nor-such-a-one"])
    assert done.returncode != 0
    said = told(done)
    assert said.count("No package archive of this host offers no-such-package, nor-such-a-one. ") >= len(
        archive
    )
    assert "apt-cache policy no-such-package" in said
    for host in archive:
        assert not host.package("probe").is_installed
        assert not host.run("dpkg --audit").stdout
