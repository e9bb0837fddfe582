"""Looks at pages as the server does."""

from __future__ import annotations

import base64
import shlex
from typing import Any

from worker import open_page_on

from composer_mcp.browser.launcher import ARGUMENTS

SHELL = "/usr/bin/chromium-headless-shell"
FULL = "/usr/bin/chromium"
#: What the server's library adds to ARGUMENTS for a browser without a display, and is visible.
HEADLESS = "--headless --hide-scrollbars"


def take(host: Any, browser: str) -> bytes:
    """Return the PNG of the lesson, made on ``host`` by ``browser`` (a program and its own arguments)."""
    return base64.b64decode(look(host, "https://localhost/lesson.html", "picture", browser))


def look(host: Any, address: str, wanted: str, browser: str) -> str:
    """Return what a page says to an expression as JSON, or its picture in base64."""
    words = ["exec python3 /opt/page/look.py", address, shlex.quote(wanted), browser, *ARGUMENTS]
    said = open_page_on(host, " ".join(words))
    _, found, answer = said.partition("found:")
    assert found, f"no answer; instead {said[-2000:]!r}"
    return answer.strip()
