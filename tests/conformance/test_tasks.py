"""The tasks extension: every scenario that the protocol's conformance suite has for it."""

from __future__ import annotations

import pytest

from . import suite
from .conftest import Web

pytestmark = pytest.mark.timeout(suite.SUITE_SECONDS + 60)

SCENARIOS = (
    "tasks-capability-negotiation",
    "tasks-dispatch-and-envelope",
    "tasks-lifecycle",
    "tasks-mrtr-composition",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-request-state-removal",
    "tasks-required-task-error",
    "tasks-wire-fields",
)
#: The suite has no check in it, whatever the server does: it says that its code was taken out until it can
#: open the stream on which the specification sends these. ``test_pushed`` has the check.
EMPTY = "tasks-status-notifications"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_of_the_tasks_extension(scenario: str, serving: Web) -> None:
    # --force: without it the suite leaves out scenarios of extensions and still ends with success.
    suite.run(scenario, serving.url, "--scenario", scenario, "--force").judge()


def test_no_scenario_is_left_out(serving: Web) -> None:
    known = {name for name in suite.server_scenarios() if name.startswith("tasks-")}
    assert known == {*SCENARIOS, EMPTY}
