from __future__ import annotations

import grp
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.euconquisto.composer.plugins.plugin_utils.tree_look import LIMIT, question

CONTENT = "line\nwith 'quotes' and a $variable\n"
WHO = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


@pytest.fixture
def tree(tmp_path: Path) -> list[dict[str, Any]]:
    """A tree that the host has."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(0o750)
    for name in ("file", "empty"):
        (tmp_path / name).write_text(CONTENT if name == "file" else "", encoding="utf-8")
        (tmp_path / name).chmod(0o640)
    (tmp_path / "link").symlink_to("folder/there")
    return [
        {"kind": "directory", "path": f"{tmp_path}/folder", "mode": "0750", **WHO},
        *(
            {
                "kind": "file",
                "path": f"{tmp_path}/{name}",
                "mode": "0640",
                "content": text,
                "secret": False,
                **WHO,
            }
            for name, text in (("file", CONTENT), ("empty", ""))
        ),
        {"kind": "link", "path": f"{tmp_path}/link", "target": "folder/there"},
        {"kind": "absent", "path": f"{tmp_path}/nothing"},
    ]


def has(tree: list[dict[str, Any]]) -> bool:
    asked = question(tree)
    assert asked is not None
    done = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=False)
    assert done.stdout == "" and done.stderr == ""
    return done.returncode == 0


def test_a_host_that_has_it_all_says_so(tree: list[dict[str, Any]]) -> None:
    assert has(tree)
    assert all(has([entry]) for entry in tree)


@pytest.mark.parametrize(
    "harm",
    [
        "echo more >> file",
        "rm file",
        "rm file; mkdir file",
        "mv file other; ln -s other file",
        "chmod 0644 file",
        "echo x > empty",
        "chmod 0755 folder",
        "rmdir folder",
        "rmdir folder; touch folder; chmod 0750 folder",
        "ln -sfn elsewhere link",
        "rm link; echo folder/there > link",
        "rm link",
        "touch nothing",
        "ln -s broken nothing",
        "mkdir nothing",
    ],
)
def test_whatever_differs_is_noticed(tree: list[dict[str, Any]], tmp_path: Path, harm: str) -> None:
    subprocess.run(["sh", "-c", harm], cwd=tmp_path, check=True)
    assert not has(tree)


@pytest.mark.parametrize("name", ["owner", "group"])
def test_another_owner_is_noticed(tree: list[dict[str, Any]], name: str) -> None:
    tree[1][name] = "games"
    assert not has(tree)


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "file", "path": "/etc/key", "content": "x", "mode": "0600", **WHO, "secret": True},
        {"kind": "absent", "path": "/etc/a b"},
        {"kind": "absent", "path": "/etc/a\n"},
        {"kind": "absent", "path": "/etc/$(reboot)"},
        {"kind": "link", "path": "/etc/long", "target": "x" * LIMIT},
    ],
    ids=["a secret", "a space", "a line break", "a command", "too long"],
)
def test_what_should_not_or_cannot_be_asked_is_not_asked(
    tree: list[dict[str, Any]], entry: dict[str, Any]
) -> None:
    assert question([*tree, entry]) is None
    assert question([]) is None
