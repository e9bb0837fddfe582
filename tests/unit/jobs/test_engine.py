"""Parts of the job engine that need no database."""

from __future__ import annotations

import anyio
import pytest

from composer_mcp.jobs.attempt import LatestProgress
from composer_mcp.jobs.postgres_engine import COSTS, fingerprint
from composer_mcp.jobs.requests import REQUESTS, RESULTS, GetComposition, ListVersions


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_every_kind_has_a_request_a_result_and_a_cost() -> None:
    assert REQUESTS.keys() == RESULTS.keys() == COSTS.keys()
    assert all(model.model_fields["kind"].default == kind for kind, model in REQUESTS.items())


def test_two_calls_are_the_same_only_if_tool_and_arguments_are() -> None:
    first = fingerprint(GetComposition(uid="uid-0001"))
    assert first == fingerprint(GetComposition(uid="uid-0001"))
    assert first != fingerprint(GetComposition(uid="uid-0002"))
    assert first != fingerprint(ListVersions(uid="uid-0001"))


@pytest.mark.anyio
async def test_only_the_newest_progress_is_kept() -> None:
    latest = LatestProgress()
    for step in range(5):
        await latest(step / 2, f"step {step}" + "x" * 1000)
    fraction, message = await latest.take()
    assert fraction == 1.0 and message.startswith("step 4") and len(message) == 500
    with anyio.move_on_after(0) as scope:
        await latest.take()
    assert scope.cancelled_caught
