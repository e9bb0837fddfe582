"""Whom an inventory may trust, and how: judged before any host is touched, by the rules of the real roles."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from ansible_collections.euconquisto.composer.plugins.plugin_utils.composition import Composition
from ansible_collections.euconquisto.composer.plugins.plugin_utils.inspection import (
    unknown_variables,
    wrong_values,
)
from composer_mcp.settings.sections import ASYMMETRIC

CHECKOUT = Path(__file__).resolve().parents[3]
LISTS = {"haproxy_issuers": "edge", "composer_mcp_issuers": "app"}
COMPOSITION = Composition(lambda path: yaml.safe_load(path.read_text()), root=CHECKOUT)


def complaints(name: str, value: Any) -> list[str]:
    """What is wrong with this one variable."""
    told = wrong_values(COMPOSITION, [LISTS[name]], {name}, lambda _: value)
    return [complaint for complaint in told if complaint.startswith(f"{name}:")]


def issuer(*algorithms: str) -> list[dict[str, Any]]:
    return [{"issuer": "https://x.test", "jwks_url": "https://x.test/keys", "algorithms": list(algorithms)}]


@pytest.mark.parametrize("name", LISTS)
def test_what_the_server_can_verify_may_be_declared(name: str) -> None:
    assert complaints(name, issuer(*get_args(ASYMMETRIC))) == []


@pytest.mark.parametrize("algorithm", ["HS256", "none", "rs256", "RS1", ""])
@pytest.mark.parametrize("name", LISTS)
def test_any_other_algorithm_is_refused_with_the_choices(name: str, algorithm: str) -> None:
    told = complaints(name, issuer("RS256", algorithm))
    assert len(told) == 1
    assert all(choice in told[0] for choice in get_args(ASYMMETRIC))
    assert not algorithm or f"'{algorithm}'" in told[0] or f": {algorithm}" in told[0]


def test_the_inventory_that_operations_shows_is_accepted() -> None:
    page = (CHECKOUT / "docs/operations.md").read_text()
    block = page.split("### Other issuers")[1].split("\n\n")[1]
    shown = yaml.safe_load(block)
    assert unknown_variables(COMPOSITION, shown) == []
    (own,) = set(shown) - set(LISTS)
    for name in LISTS:
        assert shown[name] == f"{{{{ {own} }}}}"
        assert complaints(name, shown[own]) == []
