"""The preview page is whole in itself and may run only its own script."""

from __future__ import annotations

import base64
import hashlib
import re

from composer_mcp.mcp import preview_app


def test_it_loads_nothing_and_runs_only_itself() -> None:
    page = preview_app.page()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None and policy[1].startswith("default-src 'none'; img-src data:;")
    for element in ("script", "style"):
        (inside,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy[1]
    assert not re.search(r"(src|href)=|@import|url\(|innerHTML|eval\(|fetch\(", page)


def test_a_host_is_told_that_it_needs_nothing_from_outside() -> None:
    (binding,) = preview_app.extension().resources()
    csp = binding.resource.meta["ui"]["csp"]
    assert binding.resource.uri == preview_app.META["ui"]["resourceUri"]
    assert csp and not any(csp.values())
