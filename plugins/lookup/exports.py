# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Hand what the roles of this host ask of others over to the role that provides it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: exports
short_description: Collect what the roles of this host export
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - A role never edits what belongs to another role. It states its needs as data in its C(vars/main.yml),
    for instance C(<role>_firewall_rules), and the playbooks hand them over with this lookup.
  - The roles of a host follow from its groups by C(playbooks/vars/composition.yml).
  - An export may be a template over the role's defaults, its vars and the host's variables.
options:
  _terms:
    description: What to collect, without the role's prefix, such as V(firewall_rules).
    type: list
    elements: str
    required: true
  asked_by:
    description: Whether each export, a dictionary, says in C(asked_by) which role it is from.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Firewall
  hosts: all
  roles:
    - role: euconquisto.composer.firewall
      vars:
        firewall_rules: "{{ lookup('euconquisto.composer.exports', 'firewall_rules', asked_by=true) }}"
"""

RETURN = r"""
_raw:
  description: One list per term, with the exports of all roles of this host in the order of the composition.
  type: list
  elements: list
"""

from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase

from ansible_collections.euconquisto.composer.plugins.plugin_utils.composition import Composition


class LookupModule(LookupBase):
    """The lookup plugin `exports`."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[list[Any]]:
        """Collect each term."""
        composition = Composition(self._read)
        roles = composition.roles_of(variables["group_names"])
        return [
            [
                {**export, "asked_by": role} if kwargs.get("asked_by") else export
                for role in roles
                for export in self._exports(composition, role, term, variables)
            ]
            for term in terms
        ]

    def _exports(self, composition: Composition, role: str, term: str, variables: Any) -> list[Any]:
        internals = composition.vars(role)
        name = f"{role}_{term}"
        if name not in internals:
            return []
        scope = {**composition.defaults(role), **variables, **internals}
        templar = self._templar.copy_with_new_env(available_variables=scope)
        return list(templar.template(internals[name]))

    def _read(self, path: Path) -> Any:
        return self._loader.load_from_file(str(path), trusted_as_template=True)
