"""Two front doors behind a balancer are rebooted, one after the other, and no caller notices."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import second_door
from patching import COMPOSER_SECONDS, STARTED, Load, patch, told
from site_lab import Site, lesson, said

from lab.machine import podman


@pytest.fixture(scope="module")
def doors(site: Site, standing: Any) -> Iterator[second_door.TwoDoors]:
    """The second front door and the balancer."""
    with second_door.standing(site) as found:
        yield found


def started(site: Site) -> dict[str, str]:
    """When each front door was booted, by the host's own clock of the kernel."""
    return {
        name: podman("exec", site.lab.container(name), "sh", "-c", STARTED).stdout.strip()
        for name in ("edge1", second_door.NAME)
    }


def test_both_front_doors_are_rebooted_under_load_and_no_call_is_lost(
    site: Site, doors: second_door.TwoDoors, record_property: Any
) -> None:
    before = started(site)
    load = Load(site, site.token("teacher"), doors.url)
    began = time.monotonic()
    with site.composer_fault(route="create", action="none", latency=COMPOSER_SECONDS):
        done = asyncio.run(load.during("-i", str(doors.inventory), "--limit", "edge", patch_reboot="always"))
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stdout[-5000:]
    load.assert_nobody_noticed(at_least=20)
    after = started(site)
    assert all(after[name] != before[name] for name in before)
    assert "A reboot is due and left" not in told(done)
    # The first was back before the second went: since its reboot it has served, and knows who called.
    log = site.host("edge1").ask("journalctl -b -q --no-pager -o cat COMPOSER_EVENT=call COMPOSER_STATUS=200")
    calls = [entry for entry in map(json.loads, log.splitlines()) if entry["path"] == "/mcp"]
    assert calls and doors.balancer not in {entry["source"] for entry in calls}
    record_property(
        "summary",
        f"two front doors rebooted in {seconds:.0f} s, {load.made} calls meanwhile: 0 failed, 0 doubled",
    )


def test_the_last_door_that_welcomes_callers_is_not_taken_away(
    site: Site, doors: second_door.TwoDoors
) -> None:
    drain = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy/admin.sock');"
        " s.sendall(b'set server door/open state drain\\n'); s.recv(99)"
    )
    container = site.lab.container(second_door.NAME)
    podman("exec", container, "python3", "-c", drain)
    before = started(site)
    words = ("-i", str(doors.inventory), "--limit", "edge1")
    done = patch(site, *words, patch_reboot="always")
    assert done.returncode != 0
    assert "No other front door serves and welcomes callers (asked: edge2" in told(done)
    assert started(site) == before
    # The door that somebody has drained by hand is patched, and stays drained.
    done = patch(site, "-i", str(doors.inventory), "--limit", "edge2", patch_reboot="always")
    assert done.returncode == 0, done.stdout[-3000:]
    certificate = "--cert /etc/ssl/composer/host.crt --key /etc/ssl/composer/host.key"
    ask = f"curl -sk {certificate} https://localhost:8404/health"
    health = podman("exec", container, "sh", "-c", ask).stdout
    assert json.loads(health)["welcomes"] == 0
    podman("exec", container, "systemctl", "reload", "haproxy")


def test_a_front_door_that_is_dead_is_passed_over(
    site: Site, doors: second_door.TwoDoors, bearer: str
) -> None:
    # Killed at once, so that the balancer has not noticed when the first call comes.
    podman("kill", site.lab.container(second_door.NAME))

    async def several() -> None:
        for number in range(4):
            async with site.client(bearer, doors.url) as client:
                made = await client.call_tool(
                    "create_composition",
                    {"lesson": lesson(f"one door is dead {number}")},
                    read_timeout_seconds=60,
                )
                assert not made.is_error, said(made)

    asyncio.run(several())
