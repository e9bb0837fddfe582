"""What a browser may fill: two places of its own, of a fixed size, that are gone with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import OpenPage

UNITS = ["composer-worker@1"]
MIB = 1024 * 1024


@pytest.mark.parametrize(("place", "mebibytes"), [("/tmp", 128), ("/dev/shm", 96)])
def test_a_browser_fills_its_own_place_only(
    host: Any, open_page: OpenPage, place: str, mebibytes: int
) -> None:
    fill = f"head -c {2 * mebibytes * MIB} /dev/zero > {place}/filler 2>/dev/null"
    said = open_page(f"{fill}; stat -c %s {place}/filler")
    assert mebibytes * MIB * 0.9 < int(said) <= mebibytes * MIB
    assert not host.file(f"{place}/filler").exists
    # The next start of the unit finds it empty, but for a display's socket.
    assert open_page(f"ls -A {place}").split() in ([], [".X11-unix"])


def test_what_the_browser_keeps_is_below_these_places_and_goes_with_the_unit(
    host: Any, open_page: OpenPage
) -> None:
    places = "echo $XDG_CACHE_HOME $XDG_CONFIG_HOME $XDG_DATA_HOME"
    said = open_page(f"{places}; ls $XDG_DATA_HOME; touch /var/tmp/x 2>/dev/null")
    cache, settings, data, *kept = said.split()
    assert cache.startswith("/tmp/") and settings.startswith("/tmp/")
    assert kept == ["pki"]
    assert not host.file(data).exists
    assert not host.file("/var/tmp/x").exists
