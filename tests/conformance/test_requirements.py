"""The protocol's own conformance suite: everything that each revision of the specification requires."""

from __future__ import annotations

import pytest

from . import suite
from .conftest import Web

pytestmark = pytest.mark.timeout(suite.SUITE_SECONDS + 60)


def test_everything_that_2026_07_28_requires_is_done(serving: Web, record_property: suite.Recorder) -> None:
    outcome = suite.run("requirements-2026-07-28", serving.url, "--requirements", "2026-07-28")
    record_property("summary", f"2026-07-28: {outcome.judge()}")


def test_everything_that_2025_11_25_requires_is_done(
    conversing: Web, record_property: suite.Recorder
) -> None:
    outcome = suite.run("requirements-2025-11-25", conversing.url, "--requirements", "2025-11-25")
    record_property("summary", f"2025-11-25: {outcome.judge()}")
