# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is wrong with an inventory, found before any host is touched."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.euconquisto.composer.plugins.plugin_utils.composition import Composition

# Evaluates a host's variable; raises LookupError(reason) when that needs a variable which is not defined,
# and returns LATER when it needs something that only exists once the host has been reached.
Evaluate = Callable[[str], Any]
LATER = object()


def missing_groups(composition: Composition, groups: Iterable[str]) -> list[str]:
    """One complaint for each group of the composition that the inventory lacks."""
    return [
        f"group {name}: the inventory does not have it. Expected: {group['description']}. "
        f"Add the group, or declare it empty ({name}: {{hosts: {{}}}}) when the site deliberately lacks it."
        for name, group in composition.groups.items()
        if name not in set(groups) | {"all"}
    ]


def unknown_variables(composition: Composition, names: Iterable[str]) -> list[str]:
    """One complaint for each name that begins like a role's variable and is none."""
    known_of_role = {
        role: set(composition.options(role)) | {name for name in composition.vars(role) if name[0] != "_"}
        for role in composition.roles
    }
    everything = {name for known in known_of_role.values() for name in known} | set(composition.variables)
    complaints = []
    for name in names:
        role = max((role for role in known_of_role if name.startswith(f"{role}_")), key=len, default=None)
        if role is None or name in everything:
            continue
        near = difflib.get_close_matches(
            name, sorted(known_of_role[role]) + sorted(everything), n=1, cutoff=0.6
        )
        hint = (
            f"Did you mean {near[0]}?"
            if near
            else f"The role {role} accepts: {', '.join(sorted(known_of_role[role]))}."
        )
        complaints.append(f"{name}: no role has this variable. {hint}")
    return complaints


def wrong_values(
    composition: Composition, group_names: Iterable[str], present: Iterable[str], evaluate: Evaluate
) -> list[str]:
    """One complaint for each variable of this host that is missing, undefined inside, or of a wrong type."""
    options: dict[str, Mapping[str, Any]] = dict(composition.variables)
    for role in composition.roles_of(group_names):
        options.update(composition.options(role))
    present = set(present)
    return [
        complaint
        for name, option in options.items()
        for complaint in _check(name, option, name in present, evaluate)
    ]


def _check(name: str, option: Mapping[str, Any], is_set: bool, evaluate: Evaluate) -> list[str]:
    expected = f"Expected: {_expectation(option)}"
    if not is_set:
        return [f"{name}: not set, and there is no default. {expected}"] if option.get("required") else []
    try:
        value = evaluate(name)
    except LookupError as reason:
        return [f"{name}: cannot be evaluated: {reason.args[0]}. {expected}"]
    if value is LATER:
        return []
    checked = ArgumentSpecValidator({name: dict(option)}).validate(
        {name: value}, validate_role_argument_spec=True
    )
    if not checked.error_messages:
        return []
    # The validator quotes the value that it dislikes.
    said = "has a wrong value (not shown)" if option.get("no_log") else "; ".join(checked.error_messages)
    return [f"{name}: {said}. {expected}"]


def _expectation(option: Mapping[str, Any]) -> str:
    kind = str(option.get("type", "str"))
    if option.get("elements"):
        kind += f" of {option['elements']}"
    if option.get("choices"):
        kind += f", one of {', '.join(map(str, option['choices']))}"
    description = option.get("description", "")
    first = description if isinstance(description, str) else str(description[0])
    return f"{kind}. {first.strip()}"
