"""The layers give each group exactly the roles that the composition says, and nobody forgets one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
DECLARED = yaml.safe_load((CHECKOUT / "playbooks/vars/composition.yml").read_text())
COMPOSITION, OPERATIONS = DECLARED["composition_groups"], DECLARED["composition_operations"]
LAYERS = ["host", "services", "application", "edge"]
INVENTORIES = ["lab", "staging", "prod"]


def plays() -> list[dict[str, Any]]:
    return [
        play
        for layer in LAYERS
        for play in yaml.safe_load((CHECKOUT / f"playbooks/layers/{layer}.yml").read_text())
    ]


def test_every_group_gets_its_roles_and_no_other() -> None:
    given: dict[str, list[str]] = {group: [] for group in COMPOSITION}
    for play in plays():
        given[play["hosts"]] += [role["role"].removeprefix("euconquisto.composer.") for role in play["roles"]]
    assert given == {group: settings["roles"] for group, settings in COMPOSITION.items()}


def test_every_role_can_be_run_alone_by_its_tag() -> None:
    for play in plays():
        for role in play["roles"]:
            assert role["role"].removeprefix("euconquisto.composer.") in role["tags"]


def test_every_role_of_the_collection_is_used() -> None:
    used = {role for settings in COMPOSITION.values() for role in settings["roles"]}
    assert not used & set(OPERATIONS)
    assert used | set(OPERATIONS) == {path.name for path in (CHECKOUT / "roles").iterdir() if path.is_dir()}


@pytest.mark.parametrize("role", OPERATIONS)
def test_a_role_for_operations_has_a_playbook(role: str) -> None:
    assert f"name: euconquisto.composer.{role}" in (CHECKOUT / f"playbooks/{role}.yml").read_text()


def test_the_site_imports_the_layers_in_order() -> None:
    site = yaml.safe_load((CHECKOUT / "playbooks/site.yml").read_text())
    imported = [play["ansible.builtin.import_playbook"] for play in site]
    assert imported == ["preflight.yml", *(f"layers/{layer}.yml" for layer in LAYERS)]


@pytest.mark.parametrize("name", INVENTORIES)
def test_an_inventory_has_every_group(name: str) -> None:
    def groups(tree: dict[str, Any]) -> set[str]:
        children = tree.get("children") or {}
        return set(children).union(*(groups(child or {}) for child in children.values()), set())

    everything = yaml.safe_load((CHECKOUT / f"inventories/{name}/hosts.yml").read_text())["all"]
    assert set(COMPOSITION) - {"all"} <= groups(everything)
