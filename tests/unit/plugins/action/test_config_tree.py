from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.euconquisto.composer.plugins.action.config_tree import Rules, walk, wanted


def rules(**arguments: Any) -> Rules:
    return Rules({"paths": {}, "secret": [], "owner": "root", "group": "root", "mode": "0644", **arguments})


def test_the_tree_mirrors_the_target_without_j2_and_without_underscored_names(tmp_path: Path) -> None:
    for name in ("etc/a.conf.j2", "etc/b.d/plain", "_macros.j2", "etc/_part.j2"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(walk(tmp_path, ".j2")) == ["/etc/a.conf", "/etc/b.d/plain"]
    assert walk(tmp_path / "missing", ".j2") == {}


def test_the_exact_path_wins_over_patterns_and_patterns_over_defaults() -> None:
    made = rules(
        paths={"/etc/a": {"mode": "0600"}, "/etc/*": {"mode": "0640", "owner": "daemon"}}, group="adm"
    ).file("/etc/a", "")
    assert (made["mode"], made["owner"], made["group"]) == ("0600", "daemon", "adm")


def test_an_executable_source_is_executable_unless_told_otherwise() -> None:
    assert rules().file("/usr/local/bin/x", "", default_mode="0755")["mode"] == "0755"
    told = rules(paths={"/usr/local/bin/x": {"mode": "0700"}})
    assert told.file("/usr/local/bin/x", "", default_mode="0755")["mode"] == "0700"


@pytest.mark.parametrize("how", [{"secret": ["/etc/*.key"]}, {"paths": {"/etc/*.key": {"secret": True}}}])
def test_secrets_are_found_by_pattern_or_by_path(how: dict[str, Any]) -> None:
    assert rules(**how).file("/etc/a.key", "")["secret"] is True
    assert rules(**how).file("/etc/a.conf", "")["secret"] is False


def test_a_directory_setting_does_not_apply_to_files_of_that_name() -> None:
    both = rules(paths={"/etc/x/": {"mode": "0750"}})
    assert both.directories() == [
        {"path": "/etc/x", "kind": "directory", "owner": "root", "group": "root", "mode": "0750"}
    ]
    assert both.file("/etc/x", "")["mode"] == "0644"


def test_absence_can_be_said_of_files_and_directories() -> None:
    said = rules(paths={"/etc/a": {"state": "absent"}, "/etc/d/": {"state": "absent"}})
    assert said.is_absent("/etc/a") and not said.is_absent("/etc/b")
    assert said.absent_directories() == {"/etc/d"} and said.directories() == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"mode": 420}, "quoted octal"),
        ({"mode": "rw-r--r--"}, "quoted octal"),
        ({"paths": {"/a": {"mode": 384}}}, r"paths\[/a\].mode"),
        ({"paths": {"/a": {"ower": "x"}}}, "unknown ower"),
        ({"paths": {"/a": "0644"}}, "dictionary"),
        ({"paths": {"a": {}}}, "absolute"),
        ({"paths": {"/etc/../a": {}}}, "absolute"),
        ({"paths": {"/a": {"validate": "checker"}}}, "%s"),
        ({"paths": {"/a": {"state": "gone"}}}, "present or absent"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        rules(**arguments)


def test_a_run_about_a_part_of_the_tree_leaves_the_rest_alone() -> None:
    assert wanted("/etc/a", None)
    assert wanted("/etc/a", ["/etc/a"]) and wanted("/etc/d", ["/etc/d/"]) and wanted("/etc/x/a", ["/etc/x/*"])
    assert not wanted("/etc/b", ["/etc/a"]) and not wanted("/etc/a", [])
