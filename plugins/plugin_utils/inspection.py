# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What is wrong with an inventory, found before any host is touched."""

from __future__ import annotations

import base64
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.euconquisto.composer.plugins.plugin_utils.composition import Composition

# Evaluates a host's variable; raises LookupError(reason) when that needs a variable which is not defined,
# and returns LATER when it needs something that only exists once the host has been reached.
Evaluate = Callable[[str], Any]
LATER = object()

# What the example inventories contain in place of a secret.
PLACEHOLDER = "replace-me"
# The same, where a value has to be base64.
ENCODED_PLACEHOLDER = base64.b64encode(PLACEHOLDER.encode()).decode()[:12]
# As much as two letters changed places in a role's name of seven letters.
PREFIX_LIKENESS = 0.75
MARKUP = re.compile(r"\b[A-Z]\(([^)]*)\)")
NOISE = re.compile(r": <class '[^']*'> cannot be converted to a \w+")


def missing_groups(composition: Composition, groups: Iterable[str]) -> list[str]:
    """One complaint for each group of the composition that the inventory lacks."""
    return [
        f"group {name}: the inventory does not have it. Expected: {group['description']}. "
        f"Add the group, or declare it empty ({name}: {{hosts: {{}}}}) when the site deliberately lacks it."
        for name, group in composition.groups.items()
        if name not in set(groups) | {"all"}
    ]


def unknown_variables(composition: Composition, names: Iterable[str]) -> list[str]:
    """One complaint for each name that is nearly a variable of ours and is none.

    A site's own variables are left alone: only a role's prefix, or what is a slip of the pen away from one,
    makes a name ours.
    """
    known_of_role = {
        role: set(composition.options(role)) | {name for name in composition.vars(role) if name[0] != "_"}
        for role in composition.roles
    }
    everything = {name for known in known_of_role.values() for name in known} | set(composition.variables)
    complaints = []
    for name in names:
        if name in everything:
            continue
        role = max((role for role in known_of_role if name.startswith(f"{role}_")), key=len, default=None)
        if role is None:
            meant = _mistyped_prefix(name, known_of_role) or _nearest(name, composition.variables, 0.9)
            if meant is not None:
                complaints.append(
                    f"{name}: no role has this variable. Did you mean {meant}? "
                    "If the variable is your own, give it a name less like it."
                )
            continue
        near = _nearest(name, known_of_role[role], 0.6) or _nearest(name, everything, 0.6)
        hint = (
            f"Did you mean {near}?"
            if near
            else f"The role {role} accepts: {', '.join(sorted(known_of_role[role]))}."
        )
        complaints.append(f"{name}: no role has this variable. {hint}")
    return complaints


def _nearest(name: str, candidates: Iterable[str], cutoff: float) -> str | None:
    return next(iter(difflib.get_close_matches(name, sorted(candidates), n=1, cutoff=cutoff)), None)


def _mistyped_prefix(name: str, known_of_role: Mapping[str, set[str]]) -> str | None:
    """The variable that ``name`` was meant to be, if its beginning is nearly a role's name."""
    found: dict[str, float] = {}
    for cut in (match.start() for match in re.finditer("_", name)):
        prefix = name[:cut]
        for role, known in known_of_role.items():
            # `vault_openbao_seal_key` is the usual name for the encrypted value of `openbao_seal_key`.
            if f"_{prefix}_".find(f"_{role}_") >= 0:
                continue
            likeness = difflib.SequenceMatcher(None, prefix, role).ratio()
            meant = _nearest(f"{role}{name[cut:]}", known, 0.9) if likeness >= PREFIX_LIKENESS else None
            if meant is not None:
                found[meant] = max(likeness, found.get(meant, 0.0))
    return max(found, key=lambda meant: found[meant], default=None)


def wrong_values(
    composition: Composition, group_names: Iterable[str], present: Iterable[str], evaluate: Evaluate
) -> list[str]:
    """One complaint for each variable of this host that is missing, undefined inside, or of a wrong type.

    `present` are the names that the inventory sets; where it does not, the role's default is evaluated.
    """
    roles = composition.roles_of(group_names)
    options: dict[str, Mapping[str, Any]] = dict(composition.variables)
    defaults: set[str] = set()
    for role in roles:
        options.update(composition.options(role))
        defaults.update(composition.defaults(role))
    present = set(present)
    complaints = []
    for name, option in options.items():
        expected = f"Expected: {_expectation(option)}"
        if name in present or (name in defaults and not option.get("required")):
            complaint = _check(name, option, evaluate)
        elif option.get("required"):
            complaint = "not set, and there is no default"
        else:
            continue
        if complaint:
            origin = " (its default)" if name in defaults - present else ""
            complaints.append(f"{name}{origin}: {complaint}. {expected}")
    return complaints


def refused_values(composition: Composition, group_names: Iterable[str], evaluate: Evaluate) -> list[str]:
    """One complaint for each role of this host that refuses its values; `_<role>_wrong` tells why."""
    complaints = []
    for role in composition.roles_of(group_names):
        name = f"_{role}_wrong"
        if name not in composition.vars(role):
            continue
        try:
            told = evaluate(name)
        except LookupError as reason:
            told = reason.args[0]
        if told is not LATER and told:
            complaints.append(f"{role}: {told}")
    return complaints


def _check(name: str, option: Mapping[str, Any], evaluate: Evaluate) -> str | None:
    try:
        value = evaluate(name)
    except LookupError as reason:
        return f"cannot be evaluated: {reason.args[0]}"
    if value is LATER:
        return None
    if PLACEHOLDER in str(value) or ENCODED_PLACEHOLDER in str(value):
        return f"still contains the placeholder of the example ({PLACEHOLDER}…)"
    validator = ArgumentSpecValidator({name: dict(option)})
    checked = validator.validate({name: value}, validate_role_argument_spec=True)
    if not checked.error_messages:
        return None
    # The validator quotes the value that it dislikes.
    if option.get("no_log"):
        return f"is of type {_kind(value)}, or a part of it is wrong (its value is not shown)"
    return NOISE.sub("", "; ".join(checked.error_messages)).rstrip(".")


def _kind(value: object) -> str:
    return next(
        (kind.__name__ for kind in (bool, int, float, str, list, dict) if isinstance(value, kind)), "unknown"
    )


def _expectation(option: Mapping[str, Any]) -> str:
    kind = str(option.get("type", "str"))
    if option.get("elements"):
        kind += f" of {option['elements']}"
    if option.get("choices"):
        kind += f", one of {', '.join(map(str, option['choices']))}"
    description = option.get("description", "")
    first = description if isinstance(description, str) else str(description[0])
    return MARKUP.sub(r"\1", f"{kind}. {first.strip()}")
