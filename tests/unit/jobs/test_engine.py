"""Parts of the job engine that need no database."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from composer_mcp.jobs.attempt import LatestProgress
from composer_mcp.jobs.requests import KINDS, GetComposition, ListVersions, Version, Versions
from composer_mcp.jobs.rules import fingerprint


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_every_kind_is_named_like_its_request_and_costs_something() -> None:
    assert all(kind.request.model_fields["kind"].default == name for name, kind in KINDS.items())
    assert all(kind.cost >= 1 for kind in KINDS.values())


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
    taken = await latest.take(1)
    assert taken is not None
    fraction, message = taken
    assert fraction == 1.0 and message.startswith("step 4") and len(message) == 500
    assert await latest.take(0.01) is None


def test_a_result_with_half_a_character_can_be_kept() -> None:
    version = Version(version_uid="v", created_at=datetime(2026, 1, 2, tzinfo=UTC))
    found = Versions(uid="\ud83d", versions=[version])
    assert Versions.model_validate(json.loads(found.as_json())) == found
