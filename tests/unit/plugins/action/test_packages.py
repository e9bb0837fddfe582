from __future__ import annotations

from ansible_collections.euconquisto.composer.plugins.action.packages import installed

# A terminal ends its lines so.
TOLD = "\r\n".join(
    [
        "nftables installed",
        "removed config-files",
        "half half-configured",
        "libc6 installed",
        "libc6 installed",
    ]
)


def test_only_what_is_wholly_installed_counts() -> None:
    assert installed(TOLD) == {"nftables", "libc6"}
    assert installed("dpkg-query: no packages found matching nothing\n") == set()
