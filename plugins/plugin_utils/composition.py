# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What this collection is composed of: its groups, their roles, and what each role accepts and exports.

Reads `playbooks/vars/composition.yml` and the roles beside it. Knows nothing of a play or an inventory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

COLLECTION = Path(__file__).resolve().parents[2]

Load = Callable[[Path], Any]


class Composition:
    """The groups and roles of a collection below `root`; YAML is read with `load`."""

    def __init__(self, load: Load, root: Path = COLLECTION) -> None:
        self._load = load
        self._roles = root / "roles"
        declared = load(root / "playbooks/vars/composition.yml")
        self.groups: Mapping[str, Mapping[str, Any]] = declared["composition_groups"]
        self.operations: list[str] = declared.get("composition_operations", [])
        self.variables: Mapping[str, Mapping[str, Any]] = declared["composition_variables"]

    @property
    def roles(self) -> list[str]:
        """Every role of the composition, in the order of the groups; then those for operations."""
        named = [role for group in self.groups.values() for role in group["roles"]]
        return list(dict.fromkeys([*named, *self.operations]))

    def roles_of(self, group_names: Iterable[str]) -> list[str]:
        """The roles of a host in these groups; every host is in `all`, and all have those for operations."""
        names = {"all", *group_names}
        given = [role for name, group in self.groups.items() if name in names for role in group["roles"]]
        return list(dict.fromkeys([*given, *self.operations]))

    def options(self, role: str) -> Mapping[str, Mapping[str, Any]]:
        """The variables a role accepts, over all its entry points."""
        spec = self._read(role, "meta/argument_specs.yml").get("argument_specs", {})
        merged: dict[str, Mapping[str, Any]] = {}
        for entry_point in spec.values():
            merged.update(entry_point.get("options") or {})
        return merged

    def defaults(self, role: str) -> Mapping[str, Any]:
        """The role's defaults, not templated."""
        return self._read(role, "defaults/main.yml")

    def vars(self, role: str) -> Mapping[str, Any]:
        """The role's internals and exports, not templated."""
        return self._read(role, "vars/main.yml")

    def _read(self, role: str, name: str) -> Mapping[str, Any]:
        path = self._roles / role / name
        return (self._load(path) or {}) if path.is_file() else {}
