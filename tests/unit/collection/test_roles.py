"""What every role of the collection keeps to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir() if path.is_dir())
EXPORTS = {
    "firewall_rules": {"port", "from", "reason"},
    "firewall_outgoing": {"port", "to", "reason"},
    "scrape_targets": {"job", "port", "scheme", "path"},
    "certificate_units": {"unit"},
    "reloaded_units": {"unit"},
    "secrets_files": {"name", "path", "field"},
    "secrets_policies": set(),
}


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def options_of(role: str) -> dict[str, Any]:
    specs = load(CHECKOUT / f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    return {name: option for entry in specs.values() for name, option in (entry.get("options") or {}).items()}


def defaults_of(role: str) -> dict[str, Any]:
    return load(CHECKOUT / f"roles/{role}/defaults/main.yml") or {}


@pytest.mark.parametrize("role", ROLES)
def test_argument_specs_and_defaults_name_the_same_variables(role: str) -> None:
    options, defaults = options_of(role), defaults_of(role)
    required = {name for name, option in options.items() if option.get("required")}
    assert set(options) - required == set(defaults) - required


@pytest.mark.parametrize("role", ROLES)
def test_a_documented_default_is_the_real_one(role: str) -> None:
    defaults = defaults_of(role)
    for name, option in options_of(role).items():
        if "default" in option:
            assert option["default"] == defaults[name], name


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_described_and_has_the_roles_prefix(role: str) -> None:
    for name, option in options_of(role).items():
        assert name.startswith(f"{role}_")
        assert option.get("description"), f"{name} has no description"
        assert option.get("type"), f"{name} has no type"


@pytest.mark.parametrize("role", ROLES)
def test_vars_hold_internals_and_known_exports_only(role: str) -> None:
    for name in load(CHECKOUT / f"roles/{role}/vars/main.yml") or {}:
        export = name.removeprefix(f"{role}_")
        assert name.startswith(f"_{role}_") or export in {*EXPORTS, "backup_paths", "alert_rules"}, name


@pytest.mark.parametrize("role", ROLES)
def test_exports_have_the_agreed_form(role: str) -> None:
    internals = load(CHECKOUT / f"roles/{role}/vars/main.yml") or {}
    for export, needed in EXPORTS.items():
        for item in internals.get(f"{role}_{export}", []):
            # An export may be a template over the role's variables; its form is then seen when it is used.
            if isinstance(item, dict):
                assert needed <= set(item), f"{role}_{export}: {item}"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_a_scenario_a_readme_and_names_its_platforms(role: str) -> None:
    assert (CHECKOUT / f"molecule/{role}/molecule.yml").is_file()
    assert (CHECKOUT / f"molecule/{role}/tests").is_dir()
    assert (CHECKOUT / f"roles/{role}/README.md").is_file()
    info = load(CHECKOUT / f"roles/{role}/meta/main.yml")["galaxy_info"]
    assert info["platforms"] == [{"name": "Debian", "versions": ["bookworm", "trixie"]}]


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_has_an_example_with_all_that_the_role_asks_for(role: str) -> None:
    readme = (CHECKOUT / f"roles/{role}/README.md").read_text()
    (play,) = yaml.safe_load(readme.partition("```yaml")[2].partition("```")[0])
    used = {entry["role"]: entry.get("vars", {}) for entry in play["roles"]}
    given = used[f"euconquisto.composer.{role}"]
    assert {name for name, option in options_of(role).items() if option.get("required")} <= set(given)
    assert set(given) <= set(options_of(role))


@pytest.mark.parametrize("role", ROLES)
def test_roles_know_nothing_of_each_other(role: str) -> None:
    others = [other for other in ROLES if other != role]
    for path in (CHECKOUT / f"roles/{role}/tasks").rglob("*.yml"):
        used = re.findall(r"euconquisto\.composer\.(\w+)", path.read_text())
        assert not set(used) & set(others), f"{path.name} uses another role"
        assert "include_role" not in path.read_text() and "import_role" not in path.read_text()


def tasks_of(content: Any) -> Iterator[dict[str, Any]]:
    """Every task of a file, also of its blocks."""
    for task in content or []:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks_of(task.get(part))


@pytest.mark.parametrize("role", ROLES)
def test_a_tree_of_files_begins_with_folders_that_a_host_has(role: str) -> None:
    """A folder that only sorts a role's files would be made at the root of the host."""
    folder = CHECKOUT / "roles" / role
    files = [task for path in folder.glob("tasks/*.yml") for task in tasks_of(load(path))]
    for task in files:
        tree = task.get("euconquisto.composer.config_tree")
        for kind in ("templates", "files") if tree is not None else ():
            tops = {path.name for path in folder.joinpath(tree.get(kind, kind)).glob("[!_]*")}
            assert tops <= {"etc", "opt", "srv", "usr", "var"}, f"{task['name']}: {kind}"
