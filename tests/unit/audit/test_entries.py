"""What an entry says: enough to tell what was done, within bounds, and no secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from composer_mcp.audit import calls
from composer_mcp.audit.chain import Checkpoint, Keys
from composer_mcp.audit.entry import Entry, encoded, line, now
from composer_mcp.observability.masking import hide
from composer_mcp.settings import ConfigurationError


def entry(**values: Any) -> Entry:
    return Entry(**{"at": now(), "tenant": "school", "actor": "ana", "action": "tool.x"} | values)


def test_a_line_is_the_same_again_after_it_was_read() -> None:
    odd = entry(
        actor='a"\\\n\0\ud83d é', details={"number": 1.5, "none": None, "list": ["\0", {"ü": "\\u0000"}]}
    )
    told = line(odd)
    assert "\n" not in told and "\0" not in told
    assert encoded(json.loads(told)) == told
    told.encode()


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), 10**400, -(2**63)])
def test_a_number_that_no_database_keeps_is_told_in_words(number: float) -> None:
    """One of them in the arguments of a call would otherwise stop the recording of all calls."""
    for details in (calls.shown({"minutes": [number, 1.5]}), {"minutes": number}):
        read = json.loads(line(entry(details=details)), parse_constant=lambda word: pytest.fail(word))
        assert read["details"]


def test_an_entry_stays_small_whatever_a_caller_sends() -> None:
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"x" * 1000: [deep, "y" * 1_000_000] * 3}
    huge = entry(
        details=calls.shown({"lesson": deep, "many": list(range(100_000)), "text": "z" * 10_000_000})
    )
    assert len(line(huge)) < 3500
    told = line(entry(details={"x": "y" * 100_000}, target="t" * 10_000, actor="a" * 10_000))
    assert len(told) < 1500 and "left_out" in told


def test_secrets_are_masked_by_name_by_look_and_by_value() -> None:
    hide("a-secret-that-this-process-knows")
    arguments = {
        "password": "simple",
        "lesson": {"api_key": {"of": "nested"}, "text": "with a-secret-that-this-process-knows inside"},
        "title": "Bearer abcdefghijklmnop",
        "cut": "x" * 70 + "a-secret-that-this-process-knows",
    }
    for told in (
        line(entry(details=calls.shown(arguments))),
        line(entry(details=arguments, target="a-secret-that-this-process-knows")),
    ):
        for secret in ("simple", "nested", "a-secret", "abcdefgh"):
            assert secret not in told


def test_only_the_edge_is_believed_about_where_a_request_comes_from() -> None:
    scope = {"client": ("10.0.0.5", 1), "headers": [(b"x-forwarded-for", b"192.0.2.7")]}
    assert calls.address(scope, behind_edge=True) == "192.0.2.7"
    assert calls.address(scope, behind_edge=False) == "10.0.0.5"
    spoofed = scope | {"headers": [(b"x-forwarded-for", b"<script>, 192.0.2.7")]}
    assert calls.address(spoofed, behind_edge=True) == "unknown"
    assert calls.address(scope | {"headers": []}, behind_edge=True) == "10.0.0.5"


def test_a_key_that_can_be_guessed_is_refused() -> None:
    for secrets in ([], ["short"], ["long enough to be a key, one would say", "short"]):
        with pytest.raises(ConfigurationError, match="audit-key"):
            Keys(secrets)


def test_a_checkpoint_is_found_in_any_text() -> None:
    point = Checkpoint(7, bytes(range(32)))
    assert Checkpoint.parse(f'{{"event": "audit.checkpoint", "checkpoint": "{point}"}}') == point
    assert Checkpoint.parse("nothing of the sort") is None
