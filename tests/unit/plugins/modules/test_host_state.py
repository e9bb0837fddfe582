from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ansible_collections.euconquisto.composer.plugins.modules.host_state import (
    HostState,
    names_without_password,
    wrong_modes,
)

SYSTEMD = {
    "auditd.service": "LoadState=loaded\nUnitFileState=disabled\nActiveState=inactive\n",
    "ctrl-alt-del.target": "LoadState=masked\nUnitFileState=masked\nActiveState=inactive\n",
}
SYSTEMD["apparmor.service"] = "LoadState=loaded\nUnitFileState=enabled\nActiveState=failed\n"
NOT_FOUND = "LoadState=not-found\nUnitFileState=\nActiveState=inactive\n"


class Host:
    """Answers as systemctl does and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[list[str]] = []

    def run(self, command: list[str]) -> tuple[int, str, str]:
        if command[:2] == ["systemctl", "show"]:
            return 0, "\n".join(SYSTEMD.get(name, NOT_FOUND) for name in command[3:]), ""
        self.told.append(command)
        return 0, "", ""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_rights_are_taken_away_and_never_given(tmp_path: Path) -> None:
    wide, narrow = tmp_path / "wide", tmp_path / "narrow"
    for path, bits in ((wide, 0o664), (narrow, 0o400)):
        path.touch()
        path.chmod(bits)
    state = HostState(Host().run, check=False)
    state.paths([{"path": f"{tmp_path}/*", "mode": "0640"}])
    assert (mode(wide), mode(narrow)) == (0o640, 0o400)
    assert state.changes == [f"{wide}: 0664 -> 0640"]


def test_a_dry_run_changes_nothing_and_says_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o666)
    host = Host()
    state = HostState(host.run, check=True)
    state.paths([{"path": str(path), "mode": "0600"}])
    state.units(["auditd.service"], [], ["ctrl-alt-del.target"])
    assert mode(path) == 0o666 and host.told == []
    assert len(state.changes) == 3


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    target.chmod(0o644)
    (tmp_path / "link").symlink_to(target)
    HostState(Host().run, check=False).paths([{"path": f"{tmp_path}/link", "mode": "0600"}])
    assert mode(target) == 0o644


def test_a_unit_that_the_host_lacks_is_passed_over() -> None:
    host = Host()
    HostState(host.run, check=False).units(["auditd.service", "lost.service"], ["ctrl-alt-del.target"], [])
    assert host.told == [
        ["systemctl", "enable", "--quiet", "auditd.service"],
        ["systemctl", "start", "auditd.service"],
    ]


def test_only_an_empty_password_is_empty() -> None:
    assert names_without_password("root:*:1::\nopen::1::\nlocked:!:1::\nset:$y$x:1::\n") == ["open"]


@pytest.mark.parametrize("item", [{"path": "etc", "mode": "0600"}, {"path": "/etc", "mode": "rw"}])
def test_what_cannot_be_meant_is_named(item: dict[str, str]) -> None:
    assert wrong_modes([item]) == [item["path"]]
    assert wrong_modes([{"path": "/etc", "mode": "0755"}]) == []


def test_a_unit_that_failed_is_tried_again() -> None:
    host = Host()
    HostState(host.run, check=False).units(["apparmor.service"], [], [])
    assert host.told == [
        ["systemctl", "reset-failed", "apparmor.service"],
        ["systemctl", "start", "apparmor.service"],
    ]
