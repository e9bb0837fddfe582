"""The protocol's own conformance suite: everything that each revision of the specification requires."""

from __future__ import annotations

import pytest

from . import suite
from .conftest import Web

pytestmark = pytest.mark.timeout(suite.SUITE_SECONDS + 60)


#: One check of it changes the list of prompts and waits to be told. Ours change with a release only, so what
#: a process tells of its own lists stays in the process, and the scenario is judged where there is one.
LISTS_THAT_CHANGE = ("server-stateless",)


def test_everything_that_2026_07_28_requires_is_done(
    conversing: Web, record_property: suite.Recorder
) -> None:
    outcome = suite.run("requirements-2026-07-28", conversing.url, "--requirements", "2026-07-28")
    record_property("summary", f"2026-07-28: {outcome.judge()}")


def test_it_is_done_whichever_process_is_asked_next(serving: Web, record_property: suite.Recorder) -> None:
    """Many scenarios are several requests; what one process has asked for or sealed, another continues."""
    outcome = suite.run("requirements-two-processes", serving.url, "--requirements", "2026-07-28")
    record_property("summary", f"2026-07-28, two processes: {outcome.judge(elsewhere=LISTS_THAT_CHANGE)}")


def test_everything_that_2025_11_25_requires_is_done(
    conversing: Web, record_property: suite.Recorder
) -> None:
    outcome = suite.run("requirements-2025-11-25", conversing.url, "--requirements", "2025-11-25")
    record_property("summary", f"2025-11-25: {outcome.judge()}")
