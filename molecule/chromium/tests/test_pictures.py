"""A preview looks the same whichever host makes it, with or without a display."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from pictures import FULL, HEADLESS, SHELL, take
from tests.pictures import TOLERANCE, difference

UNITS = ["composer-worker@1", "composer-display", "page"]


def browser_of(host: Any) -> str:
    on_display = "display" in host.ansible.get_variables()["group_names"]
    return FULL if on_display else f"{SHELL} {HEADLESS}"


def test_a_lesson_looks_the_same_on_every_host(
    hosts: list[Any], record_property: Callable[[str, object], None]
) -> None:
    pictures = {host.backend.get_hostname(): take(host, browser_of(host)) for host in hosts}
    for one, other in itertools.pairwise(pictures):
        share = difference(pictures[one], pictures[other])
        record_property(f"differing pixels, {one} and {other}", share)
        assert share <= TOLERANCE, f"{share:.3%} of the pixels differ between {one} and {other}"


def test_a_difference_would_be_seen(hosts: list[Any]) -> None:
    host = hosts[0]
    larger = f"{SHELL} {HEADLESS} --blink-settings=minimumFontSize=20"
    assert difference(take(host, browser_of(host)), take(host, larger)) > TOLERANCE
