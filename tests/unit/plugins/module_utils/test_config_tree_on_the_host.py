from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.euconquisto.composer.plugins.module_utils.config_tree import (
    ConfigTreeError,
    Tree,
    pack,
    unpack,
)

ME = pwd.getpwuid(os.getuid()).pw_name
MY_GROUP = grp.getgrgid(os.getgid()).gr_name


def entry(path: Path, content: str = "new\n", **settings: Any) -> dict[str, Any]:
    return {
        "path": str(path),
        "kind": "file",
        "content": content,
        "owner": ME,
        "group": MY_GROUP,
        "mode": "0644",
        "secret": False,
        "validate": None,
        **settings,
    }


class Host:
    """Applies entries to a temporary folder and records the validations that ran."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.staging = root / "staging"
        self.staging.mkdir()
        self.validated: list[tuple[list[str], str]] = []
        self.verdict = (0, "", "")

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        self.validated.append((command, Path(command[-1]).read_text()))
        return self.verdict

    def apply(self, *entries: dict[str, Any], check: bool = False) -> dict[str, Any]:
        return Tree(list(entries), check, True, self.run_command, str(self.staging)).apply()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_missing_file_is_written_with_its_parents_and_its_mode(host: Host) -> None:
    target = host.root / "etc/a/b.conf"
    outcome = host.apply(entry(target, mode="0600"))
    assert outcome["changed_paths"] == [str(target)]
    assert target.read_text() == "new\n"
    assert oct(target.stat().st_mode & 0o7777) == "0o600"


def test_a_second_run_changes_nothing(host: Host) -> None:
    wanted = entry(host.root / "b.conf")
    host.apply(wanted)
    before = (host.root / "b.conf").stat()
    assert host.apply(wanted) == {"changed": False, "changed_paths": [], "diff": []}
    assert (host.root / "b.conf").stat().st_ino == before.st_ino


def test_only_the_mode_is_mended_when_only_the_mode_differs(host: Host) -> None:
    wanted = entry(host.root / "b.conf")
    host.apply(wanted)
    inode = (host.root / "b.conf").stat().st_ino
    (host.root / "b.conf").chmod(0o666)
    assert host.apply(wanted)["changed"]
    assert (host.root / "b.conf").stat().st_ino == inode
    assert (host.root / "b.conf").stat().st_mode & 0o777 == 0o644


def test_check_mode_tells_and_touches_nothing(host: Host) -> None:
    outcome = host.apply(entry(host.root / "b.conf"), check=True)
    assert outcome["changed"] and outcome["diff"][0]["after"] == "new\n"
    assert not (host.root / "b.conf").exists()


def test_check_mode_accepts_a_user_that_does_not_exist_yet(host: Host) -> None:
    assert host.apply(entry(host.root / "b.conf", owner="no-such-user"), check=True)["changed"]
    with pytest.raises(ConfigTreeError, match="no-such-user"):
        host.apply(entry(host.root / "b.conf", owner="no-such-user"))


def test_a_refused_file_leaves_every_file_as_it_was(host: Host) -> None:
    first, second = host.root / "a.conf", host.root / "b.conf"
    first.write_text("old\n")
    host.verdict = (1, "", "line 1: nonsense")
    with pytest.raises(ConfigTreeError, match=r"line 1: nonsense[\s\S]*Nothing was changed"):
        host.apply(entry(first), entry(second, validate="/bin/false -f %s"))
    assert first.read_text() == "old\n"
    assert not second.exists()


def test_a_validator_sees_the_new_content_under_the_files_own_name(host: Host) -> None:
    host.apply(entry(host.root / "x.service", validate="systemd-analyze verify %s"))
    ((command, seen),) = host.validated
    assert command[:2] == ["systemd-analyze", "verify"]
    assert Path(command[2]).name == "x.service"
    assert seen == "new\n"
    assert list(host.staging.iterdir()) == []


def test_an_unchanged_file_is_not_validated_again(host: Host) -> None:
    wanted = entry(host.root / "x.conf", validate="checker %s")
    host.apply(wanted)
    host.apply(wanted)
    assert len(host.validated) == 1


def test_check_mode_passes_over_a_validator_that_is_not_installed(host: Host) -> None:
    host.apply(entry(host.root / "x.conf", validate="no-such-validator %s"), check=True)
    assert host.validated == []


def test_a_secret_is_neither_in_the_diff_nor_in_an_error(host: Host) -> None:
    (host.root / "key").write_text("old-secret")
    wanted = entry(host.root / "key", "new-secret", secret=True, validate="checker %s")
    assert "-secret" not in repr(host.apply(wanted, check=True))
    host.verdict = (1, "", "bad value new-secret")
    with pytest.raises(ConfigTreeError) as caught:
        host.apply(wanted)
    assert "new-secret" not in str(caught.value)


def test_a_link_in_place_of_a_file_is_replaced_not_followed(host: Host) -> None:
    (host.root / "elsewhere").write_text("precious")
    (host.root / "b.conf").symlink_to(host.root / "elsewhere")
    host.apply(entry(host.root / "b.conf"))
    assert (host.root / "elsewhere").read_text() == "precious"
    assert not (host.root / "b.conf").is_symlink()


def test_links_are_made_changed_and_left_alone(host: Host) -> None:
    link = {"path": str(host.root / "current"), "kind": "link", "target": "releases/1"}
    assert host.apply(link)["changed"]
    assert not host.apply(link)["changed"]
    assert host.apply({**link, "target": "releases/2"})["changed"]
    assert (host.root / "current").readlink() == Path("releases/2")


def test_absent_removes_files_and_empty_directories_only(host: Host) -> None:
    (host.root / "old.conf").touch()
    (host.root / "empty").mkdir()
    (host.root / "full").mkdir()
    (host.root / "full/file").touch()

    def absence(name: str) -> dict[str, Any]:
        return {"path": str(host.root / name), "kind": "absent"}

    assert host.apply(absence("old.conf"), absence("empty"), absence("never"))["changed_paths"] == [
        str(host.root / "empty"),
        str(host.root / "old.conf"),
    ]
    with pytest.raises(ConfigTreeError, match="directory with content"):
        host.apply(absence("full"))


def test_directories_get_owner_and_mode_and_existing_parents_keep_theirs(host: Host) -> None:
    parent = host.root / "srv"
    parent.mkdir(mode=0o711)
    wanted = {
        "path": str(parent / "data"),
        "kind": "directory",
        "owner": ME,
        "group": MY_GROUP,
        "mode": "0750",
    }
    assert host.apply(wanted)["changed"]
    assert not host.apply(wanted)["changed"]
    assert (parent / "data").stat().st_mode & 0o777 == 0o750
    assert parent.stat().st_mode & 0o777 == 0o711


def test_a_directory_where_a_file_should_be_is_an_error_before_any_change(host: Host) -> None:
    (host.root / "b.conf").mkdir()
    with pytest.raises(ConfigTreeError, match="it is a directory"):
        host.apply(entry(host.root / "a.conf"), entry(host.root / "b.conf"))
    assert not (host.root / "a.conf").exists()


def test_any_bytes_survive_the_wire(host: Host) -> None:
    raw = bytes(range(256))
    wanted = entry(host.root / "raw", raw.decode("utf-8", "surrogateescape"))
    assert unpack(pack([wanted])) == [wanted]
    host.apply(*unpack(pack([wanted])))
    assert (host.root / "raw").read_bytes() == raw


def test_a_file_that_cannot_be_written_leaves_all_of_the_tree_as_it_was(host: Host) -> None:
    old, made = host.root / "a.conf", host.root / "made/deep"
    old.write_text("old\n")
    # The longest name that a file may have: what is written beside it has a longer one.
    too_long = host.root / ("x" * 255)
    with pytest.raises(
        ConfigTreeError, match=r"x{255} cannot be changed: File name too long.*Nothing was changed"
    ):
        host.apply(entry(old), entry(made / "b.conf"), entry(too_long))
    assert old.read_text() == "old\n"
    assert sorted(path.name for path in host.root.iterdir()) == ["a.conf", "staging"]


def test_a_change_that_fails_at_last_names_what_was_changed_before(host: Host) -> None:
    (host.root / "full").mkdir()
    first = host.root / "full/a.conf"
    with pytest.raises(ConfigTreeError) as caught:
        host.apply(entry(first), {"path": str(host.root / "full"), "kind": "absent"})
    assert "full cannot be changed: Directory not empty" in str(caught.value)
    assert f"Changed before it: {first}; the services concerned were not told." in str(caught.value)
    assert [path.name for path in (host.root / "full").iterdir()] == ["a.conf"]


def test_what_a_host_left_that_died_while_writing_is_removed_by_the_next_run(host: Host) -> None:
    # No process has this number; the kernel's limit is lower.
    (host.root / ".a.conf.99999999.new").write_text("half")
    # As after a start, when numbers of processes come again.
    (host.root / f".a.conf.{os.getpid()}.new").write_text("half")
    # The first process is no module.
    (host.root / ".a.conf.1.new").write_text("half")
    host.apply(entry(host.root / "a.conf"))
    assert sorted(path.name for path in host.root.iterdir()) == ["a.conf", "staging"]
    assert (host.root / "a.conf").read_text() == "new\n"


def test_what_another_run_is_writing_is_left_to_it(host: Host) -> None:
    waiting = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        # Before its first word the kernel may not know yet what it runs.
        other.stdout.readline()
        theirs = host.root / f".a.conf.{other.pid}.new"
        theirs.write_text("theirs\n")
        host.apply(entry(host.root / "a.conf"))
        other.communicate(b"\n", timeout=30)
    assert theirs.read_text() == "theirs\n"
