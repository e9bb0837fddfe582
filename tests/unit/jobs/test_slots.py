"""Some slots of a worker are kept for short jobs; no slot stays empty for any other reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composer_mcp.jobs.requests import KINDS
from composer_mcp.jobs.slots import Slots, is_interactive

LONG, SHORT = "create_composition", "preview_composition"


def test_what_only_reads_is_short_and_what_writes_is_long() -> None:
    short = {kind for kind in KINDS if is_interactive(kind)}
    assert {"get_composition", "preview_composition", "check_connection", "list_versions"} <= short
    assert not short & {"create_composition", "update_composition", "apply_template", "restore_version"}
    assert not is_interactive("a_kind_of_the_next_release")


def test_long_jobs_never_take_the_slots_that_are_kept() -> None:
    slots = Slots(4, lambda: 1)
    for number in range(3):
        assert slots.room(4).takes(LONG)
        slots.take(f"long-{number}", LONG)
    room = slots.room(4)
    assert (room.jobs, room.takes(LONG), room.takes(SHORT), room.short_of) == (1, False, True, True)
    slots.take("short", SHORT)
    assert slots.room(4).jobs == 0
    assert slots.free("long-1") and not slots.free("long-1")
    assert slots.room(4).takes(LONG)


def test_short_jobs_may_take_every_slot() -> None:
    slots = Slots(4, lambda: 1)
    for number in range(4):
        assert slots.room(1).jobs == 1
        slots.take(f"short-{number}", SHORT)
    assert slots.room(1).jobs == 0


@pytest.mark.parametrize("kept", [0, 1, 3, 4, 99])
def test_whatever_is_set_while_it_runs_both_kinds_have_a_slot(kept: int) -> None:
    slots = Slots(4, lambda: kept)
    assert slots.room(4).takes(LONG)
    for number in range(3):
        if slots.room(4).takes(LONG):
            slots.take(f"long-{number}", LONG)
    room = slots.room(4)
    assert room.jobs >= 1 and room.takes(SHORT) and not room.takes(LONG)


@given(
    total=st.integers(2, 32),
    kept=st.integers(1, 31),
    batch=st.integers(1, 8),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=80),
)
def test_no_order_of_events_gives_long_jobs_a_kept_slot(
    total: int, kept: int, batch: int, steps: list[tuple[bool, int]]
) -> None:
    slots = Slots(total, lambda: kept)
    held: dict[str, str] = {}
    for number, (long, freed) in enumerate(steps):
        room = slots.room(batch)
        for place in range(room.jobs):
            kind = LONG if long and room.long else SHORT
            slots.take(f"{number}-{place}", kind)
            held[f"{number}-{place}"] = kind
        assert list(held.values()).count(LONG) <= max(1, total - kept)
        assert len(held) <= total
        for entry in list(held)[:freed]:
            assert slots.free(entry)
            del held[entry]
