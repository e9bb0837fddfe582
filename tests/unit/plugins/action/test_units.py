from __future__ import annotations

import pytest

from ansible_collections.euconquisto.composer.plugins.action.units import states


def told(load: str, active: str, file: str) -> str:
    return f"LoadState={load}\r\nActiveState={active}\r\nUnitFileState={file}\r\n"


@pytest.mark.parametrize(
    ("state", "runs", "enabled"),
    [
        (("loaded", "active", "enabled"), True, True),
        (("loaded", "activating", "enabled"), True, True),
        (("loaded", "active", "disabled"), True, False),
        (("loaded", "inactive", "enabled"), False, True),
        (("loaded", "failed", "enabled"), False, True),
        # Nothing wants it, or a generator does: there is nothing to enable.
        (("loaded", "active", "static"), True, True),
        (("loaded", "active", "enabled-runtime"), True, True),
        (("masked", "inactive", "masked"), False, False),
        (("not-found", "inactive", ""), False, False),
    ],
)
def test_a_unit_runs_and_starts_at_every_boot(state: tuple[str, str, str], runs: bool, enabled: bool) -> None:
    assert states(told(*state)) == [(runs, enabled)]


def test_each_unit_of_several_is_told_of_in_their_order() -> None:
    several = [("inactive", "enabled"), ("active", "disabled"), ("active", "enabled")]
    text = "\r\n".join(told("loaded", *state) for state in several)
    assert states(text) == [(False, True), (True, False), (True, True)]
    assert states("") == []
