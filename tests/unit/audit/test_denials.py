"""Who is turned away is recorded, and cannot fill the disk by coming again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from composer_mcp.audit.denials import PLACES_LIMIT, Denials
from tests.unit.audit.trails import kept_trail, recorded

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_first_is_recorded_at_once_and_the_others_as_a_number(tmp_path: Path) -> None:
    async with kept_trail(tmp_path) as trail:
        denials = Denials(trail)
        async with denials.run():
            for _ in range(1000):
                denials.saw("192.0.2.7", "invalid_token", "it has expired")
            denials.saw("192.0.2.8", "invalid_token", "it has expired")
    told = [(entry["source"], entry["details"]["count"]) for entry in await recorded(tmp_path)]
    assert told == [("192.0.2.7", 1), ("192.0.2.8", 1), ("192.0.2.7", 999)]


async def test_a_flood_from_everywhere_is_counted_together(tmp_path: Path) -> None:
    async with kept_trail(tmp_path) as trail:
        denials = Denials(trail)
        async with denials.run():
            for number in range(5000):
                denials.saw(f"198.51.100.{number}", "invalid_token", "it has expired")
    told = await recorded(tmp_path)
    assert len(told) == PLACES_LIMIT + 1
    assert told[-1]["source"] == "others" and told[-1]["details"]["count"] == 5000 - PLACES_LIMIT
