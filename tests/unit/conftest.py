"""Make `ansible_collections.euconquisto.composer` importable, as Ansible itself would.

Only here: `ansible-test`, to which nothing but the tests of the plugins is given, does that by itself.
"""

from __future__ import annotations

from pathlib import Path

from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

CHECKOUT = Path(__file__).resolve().parents[2]
_AnsibleCollectionFinder(paths=[str(CHECKOUT / "collections")])._install()
