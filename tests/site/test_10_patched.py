"""Every host is patched under load and nobody notices; what goes wrong stops it, and the next run goes on."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from patching import COMPOSER_SECONDS, STARTED, Load, patch, told
from site_lab import Site, lesson, said

from lab import config

# Gateway, database, web process, workers, ssh: all of them have it loaded.
PACKAGE = "libssl3t64"


def offer(site: Site, mark: str, *names: str) -> dict[str, str]:
    """A newer build for these hosts, or for all; the new version by host."""
    chosen = [host for host in site.hosts if host.name in (names or config.HOSTS)]
    return {host.name: host.python("newer", mark, PACKAGE)[PACKAGE] for host in chosen}


@pytest.fixture
def archives(site: Site) -> Iterator[None]:
    """Whatever a test offers, afterwards every host has its own archive."""
    yield
    for host in site.hosts:
        host.python("newer")


def versions(site: Site) -> dict[str, str]:
    """What every host has installed."""
    return {host.name: host.ask(f"dpkg-query -W -f '${{Version}}' {PACKAGE}") for host in site.hosts}


def still_old(site: Site) -> dict[str, str]:
    """Processes that have the replaced libraries still loaded, but for one that only a reboot replaces."""
    search = "grep -lE 'lib(ssl|crypto).so.*deleted' /proc/[0-9]*/maps 2>/dev/null | cut -d/ -f3"
    names = "xargs -r ps -o comm= -p | grep -v unattended"
    found = {host.name: host.run(f"{search} | {names}").stdout.split() for host in site.hosts}
    return {name: " ".join(processes) for name, processes in found.items() if processes}


def test_every_host_is_patched_under_load_and_no_call_is_lost_or_doubled(
    site: Site, archives: None, record_property: Any
) -> None:
    wanted = offer(site, "lab1")
    for name in ("app1", "edge1"):
        site.host(name).ask("touch /run/reboot-required")
    dry = patch(site, "--check")
    assert dry.returncode == 0 and dry.stdout.count("changed=0") == len(config.HOSTS), dry.stdout[-3000:]
    before, booted = versions(site), {host.name: host.ask(STARTED) for host in site.hosts}
    assert not set(before.values()) & set(wanted.values())

    load = Load(site, site.token("teacher"))
    began = time.monotonic()
    with site.composer_fault(route="create", action="none", latency=COMPOSER_SECONDS):
        done = asyncio.run(load.during())
    seconds = time.monotonic() - began

    assert done.returncode == 0, done.stdout[-5000:]
    load.assert_nobody_noticed(at_least=50)
    assert versions(site) == wanted
    assert still_old(site) == {}
    # The application host was rebooted; the only front door was not, because callers would have had to wait.
    rebooted = {host.name for host in site.hosts if host.ask(STARTED) != booted[host.name]}
    assert rebooted == {"app1"}
    assert "A reboot is due and left on edge1" in told(done)
    record_property(
        "summary",
        f"{len(config.HOSTS)} hosts patched in {seconds:.0f} s, one rebooted, {load.made} calls meanwhile:"
        " 0 failed, 0 doubled",
    )
    again = patch(site)
    assert again.returncode == 0 and "Nothing was to be done" in told(again)
    assert again.stdout.count("changed=0") == len(config.HOSTS)


def test_a_due_reboot_of_the_only_front_door_is_done_when_it_may_make_callers_wait(
    site: Site, bearer: str
) -> None:
    edge = site.host("edge1")
    edge.ask("touch /run/reboot-required")
    before = edge.ask(STARTED)
    done = patch(site, "--limit", "edge1", patch_pause=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert edge.ask(STARTED) != before
    assert edge.run("test -e /run/reboot-required").returncode == 1
    made = site.call(bearer, "create_composition", lesson=lesson("after the reboot of the edge"))
    assert not made.is_error, said(made)


def test_it_stops_at_the_first_problem_says_where_it_stands_and_the_next_run_finishes(
    site: Site, bearer: str, archives: None
) -> None:
    wanted = offer(site, "lab2", "app1", "app2")
    app1, before = site.host("app1"), versions(site)
    folder = "/etc/systemd/system/composer-web@blue.service.d"
    app1.ask(f"mkdir -p {folder}; printf '[Service]\\nExecStartPre=/bin/false\\n' > {folder}/broken.conf")
    app1.ask("systemctl daemon-reload")
    try:
        stopped = patch(site, composer_mcp_ready_seconds=15)
        assert stopped.returncode != 0
        report = told(stopped)
        assert "app1: Wait until the web process reaches all that it needs: " in report
        assert "composer-web@blue.service is not ready after 15 s" in report
        assert "Where app1 stands: its packages are replaced; it is still drained and gets no calls" in report
        assert "Done: none. Not begun, in service as before: app2" in report
        assert "run the same command again: it goes on with app1" in report
        assert versions(site) == before | {"app1": wanted["app1"]}
        # The others serve meanwhile.
        made = site.call(bearer, "create_composition", lesson=lesson("while one host is drained"))
        assert not made.is_error, said(made)
    finally:
        app1.ask(f"rm -r {folder}; systemctl daemon-reload; systemctl reset-failed")
    finished = patch(site)
    assert finished.returncode == 0, finished.stdout[-3000:]
    assert re.search("app1, 1 of [2-4]: an earlier run stopped here", told(finished))
    assert versions(site) == before | wanted
    assert still_old(site) == {}
    serving = site.host("app1").ask("ls /var/lib/composer-patch-unfinished 2>/dev/null || echo none")
    assert serving == "none"
    assert not site.call(bearer, "create_composition", lesson=lesson("after all")).is_error
