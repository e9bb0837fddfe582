"""Headless or on a display: the same composition, and the same picture of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from composer_mcp.composition.lesson import Lesson
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import CompositionSaved, CreateComposition, Preview, PreviewComposition
from tests.pictures import TOLERANCE, difference

from .composer_fixtures import Authority, Bench, Standin, chromium_for_tests
from .test_composer_preview import LESSON

pytestmark = pytest.mark.anyio

# What role fonts says to fontconfig, of which the pictures need this: a display would be drawn for otherwise.
UNHINTED = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <match target="font">
    <edit name="hinting" mode="assign"><bool>false</bool></edit>
    <edit name="hintstyle" mode="assign"><const>hintnone</const></edit>
    <edit name="rgba" mode="assign"><const>none</const></edit>
  </match>
</fontconfig>
"""


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A virtual display of the size that role chromium gives it."""
    reading, writing = os.pipe()
    # It chooses a free number itself and says which.
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x1024x24", "-nolisten", "tcp", "-ac"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as told:
            number = told.readline().strip()
        assert number, "Xvfb ended without a display; it is a Debian package of the same name"
        monkeypatch.setenv("DISPLAY", f":{number}")
        yield
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.usefixtures("display")
async def test_a_lesson_is_the_same_with_and_without_a_display(
    standin: Standin,
    authority: Authority,
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    found = {}
    for headless, program in ((True, "chromium-headless-shell"), (False, "chromium")):
        with chromium_for_tests(authority, program) as chromium:
            settings = chromium.folder / "settings/fontconfig"
            settings.mkdir(parents=True)
            (settings / "fonts.conf").write_text(UNHINTED)
            monkeypatch.setenv("XDG_CONFIG_HOME", str(settings.parent))
            other = Bench(standin, chromium, tmp_path / "artifacts", bench.compositions)
            found[headless] = await _made(other, headless=headless)
    with_one, without = found[False].pop("picture"), found[True].pop("picture")
    assert found[False] == found[True]
    share = difference(with_one, without)
    record_property("differing pixels", share)
    assert share <= TOLERANCE, f"{share:.3%} of the pixels differ"


async def _made(bench: Bench, *, headless: bool) -> dict[str, Any]:
    """Make a composition and a preview of it; return all that must not depend on the display."""
    async with bench.work(browser={"headless": headless}) as work:
        saved = await handlers.run(CreateComposition(lesson=Lesson.model_validate(LESSON)), work)
        assert isinstance(saved, CompositionSaved)
        preview = await handlers.run(PreviewComposition(uid=saved.uid), work)
        assert isinstance(preview, Preview)
        return {
            "widgets": saved.widgets,
            "title": preview.page_title,
            "size": (preview.picture_width, preview.picture_height),
            "errors": preview.console_errors + preview.network_errors,
            "picture": await work.artifacts.get(preview.picture),
        }
