from __future__ import annotations

from ansible_collections.euconquisto.composer.plugins.modules.packages_missing import installed

STATUS = """Package: nftables
Status: install ok installed
Architecture: amd64

Package: removed-but-configured
Status: deinstall ok config-files

Package: half
Status: install ok half-configured

Package: last
Status: install ok installed
Version: 1
"""


def test_only_what_is_wholly_installed_counts() -> None:
    assert installed(STATUS) == {"nftables", "last"}
