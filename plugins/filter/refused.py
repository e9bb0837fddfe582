# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Say which values cannot be meant: what an argument specification has no words for."""

from __future__ import annotations

DOCUMENTATION = r"""
name: refused
short_description: Say which values cannot be meant
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - An argument specification knows types and choices. This judges the form of a text, the bounds of a number,
    and addresses.
  - A role keeps its judgements in the variable C(_<role>_wrong), so that the playbook C(preflight) finds them
    for all hosts before any is touched.
options:
  _input:
    description:
      - From a variable's name to its C(value), what it C(must) be, in words, and how that is judged.
      - C(pattern) is a regular expression for the whole text; C(least) and C(most) are a number's bounds;
        C(networks) is for a list of addresses and networks.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse a port that no host has
  ansible.builtin.assert:
    that: wrong == ''
    fail_msg: "{{ wrong }}"
  vars:
    wrong: "{{ forms | euconquisto.composer.refused }}"
    forms:
      my_port: {value: "{{ my_port }}", least: 1, most: 65535, must: a port}
"""

RETURN = r"""
_value:
  description: A sentence for each value that cannot be meant, in one line; nothing when there is none.
  type: str
"""

import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.euconquisto.composer.plugins.plugin_utils.addresses import network


def refused(forms: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what is wrong with the values, or an empty text."""
    return "; ".join(
        f"{name} is {form['value']}; it must be {form['must']}"
        for name, form in forms.items()
        if not _fits(name, form)
    )


def _fits(name: str, form: Mapping[str, Any]) -> bool:
    value = form["value"]
    if "pattern" in form:
        return re.fullmatch(form["pattern"], str(value)) is not None
    if "least" in form:
        return re.fullmatch(r"-?\d+", str(value)) is not None and form["least"] <= int(value) <= form["most"]
    if form.get("networks"):
        return not isinstance(value, str) and all(_is_network(one) for one in value)
    raise AnsibleFilterError(f"{name}: say pattern, least and most, or networks")


def _is_network(text: Any) -> bool:
    try:
        network(str(text), "refused")
    except AnsibleFilterError:
        return False
    return True


class FilterModule:
    """The filter `refused`."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by its name."""
        return {"refused": refused}
