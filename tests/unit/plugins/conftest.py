"""Make `ansible_collections.euconquisto.composer` importable, as Ansible itself would."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def _install_finder() -> None:
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    checkout = Path(__file__).resolve().parents[3]
    _AnsibleCollectionFinder(paths=[str(checkout / "collections")])._install()


# ansible-test brings a finder of its own; a plain pytest run does not.
try:
    importlib.import_module("ansible_collections.euconquisto.composer.plugins")
except ModuleNotFoundError:
    for name in [name for name in sys.modules if name.split(".")[0] == "ansible_collections"]:
        del sys.modules[name]
    _install_finder()
