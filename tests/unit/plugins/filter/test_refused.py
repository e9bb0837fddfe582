"""Values that cannot be meant are named, with what they must be."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.euconquisto.composer.plugins.filter.refused import refused


def judged(value: Any, **how: Any) -> str:
    return refused({"it": {"value": value, "must": "as said", **how}})


@pytest.mark.parametrize("value", [1, 65535, "443"])
def test_a_number_within_its_bounds_is_fine(value: Any) -> None:
    assert judged(value, least=1, most=65535) == ""


@pytest.mark.parametrize("value", [0, 65536, -1, "soon", "", "1.5", None, True])
def test_a_number_beyond_them_is_named(value: Any) -> None:
    assert judged(value, least=1, most=65535) == f"it is {value}; it must be as said"


def test_a_pattern_is_for_the_whole_text() -> None:
    assert judged("256M", pattern=r"[1-9]\d*[MG]") == ""
    assert judged("256MB", pattern=r"[1-9]\d*[MG]") and judged("x256M", pattern=r"[1-9]\d*[MG]")


@pytest.mark.parametrize("value", [[], ["192.0.2.7"], ["192.0.2.0/28", "2001:db8::/64"]])
def test_addresses_and_networks_are_fine(value: Any) -> None:
    assert judged(value, networks=True) == ""


@pytest.mark.parametrize("value", [["192.0.2.300"], ["192.0.2.7/24"], ["balancer"], "192.0.2.7"])
def test_what_is_none_is_named(value: Any) -> None:
    assert judged(value, networks=True)


def test_all_that_is_wrong_is_told_at_once() -> None:
    forms = {name: {"value": 0, "least": 1, "most": 2, "must": "1 or 2"} for name in ("a", "b")}
    assert refused(forms) == "a is 0; it must be 1 or 2; b is 0; it must be 1 or 2"


def test_a_form_without_a_judgement_is_a_mistake_of_the_role() -> None:
    with pytest.raises(AnsibleFilterError):
        judged(1)
