# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Render a role's tree on the controller and hand it to the host in one call.

Documentation: `plugins/modules/config_tree.py`. The host's half: `plugins/module_utils/config_tree.py`.
"""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from ansible_collections.euconquisto.composer.plugins.module_utils.config_tree import pack
from ansible_collections.euconquisto.composer.plugins.plugin_utils.host_faults import of_start
from ansible_collections.euconquisto.composer.plugins.plugin_utils.tree_look import question

MANAGED = "Managed by Ansible (euconquisto.composer). Changes made here are overwritten."
SETTINGS = {"owner", "group", "mode", "state", "secret", "validate"}
RENDERING = {"trim_blocks": True, "lstrip_blocks": True}


class ActionModule(ActionBase):
    """The action plugin `config_tree`."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(
        (
            *("templates", "files", "content", "links", "absent", "paths", "secret", "only"),
            *("owner", "group", "mode"),
        )
    )

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect, render, ask whether the host has it all, send if not."""
        super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            argument_spec={
                "templates": {"type": "str", "default": "templates"},
                "files": {"type": "str", "default": "files"},
                "content": {"type": "dict", "default": {}},
                "links": {"type": "dict", "default": {}},
                "absent": {"type": "list", "elements": "str", "default": []},
                "paths": {"type": "dict", "default": {}},
                "secret": {"type": "list", "elements": "str", "default": []},
                "only": {"type": "list", "elements": "str"},
                "owner": {"type": "str", "default": "root"},
                "group": {"type": "str", "default": "root"},
                "mode": {"type": "str", "default": "0644"},
            },
        )
        try:
            rules = Rules(arguments)
            entries = self._entries(arguments, rules, task_vars or {})
        except ValueError as error:
            raise AnsibleActionFail(f"{error} Nothing was changed on the host.") from error
        asked = question(entries)
        if asked and self._low_level_execute_command(asked)["rc"] == 0:
            return {"changed": False, "changed_paths": [], "diff": []}
        done: dict[str, Any] = self._execute_module(
            module_name="euconquisto.composer.config_tree_apply",
            module_args={"payload": pack(entries)},
            task_vars=task_vars,
        )
        # Where the module itself ran it has said what was wrong.
        if done.get("failed") and "changed_paths" not in done:
            done["msg"] = of_start(done) or done.get("msg")
        return done

    def _entries(
        self, arguments: dict[str, Any], rules: Rules, task_vars: dict[str, Any]
    ) -> list[dict[str, Any]]:
        base = self._base()
        templates, files = base / arguments["templates"], base / arguments["files"]
        sources = {**walk(files, strip=""), **walk(templates, strip=".j2")}
        absent = set(arguments["absent"]) | rules.absent_directories()
        entries = []
        render = None
        for path, source in sources.items():
            if path in arguments["content"] or not wanted(path, arguments["only"]):
                continue
            if rules.is_absent(path):
                absent.add(path)
                continue
            if source.suffix == ".j2" and source.is_relative_to(templates):
                render = render or self._renderer(templates, task_vars)
                content = render(source)
            else:
                content = source.read_bytes().decode("utf-8", "surrogateescape")
            executable = os.access(source, os.X_OK)
            entries.append(rules.file(path, content, default_mode="0755" if executable else None))
        for path, content in arguments["content"].items():
            if rules.is_absent(path):
                absent.add(path)
            elif isinstance(content, str):
                entries.append(rules.file(path, content))
            else:
                raise ValueError(f"content of {path} must be a text, not {type(content).__name__}.")
        for path, target in arguments["links"].items():
            entries.append({"path": absolute(path), "kind": "link", "target": str(target)})
        entries += rules.directories()
        entries += [{"path": absolute(path), "kind": "absent"} for path in sorted(absent)]
        return [entry for entry in entries if wanted(entry["path"], arguments["only"])]

    def _base(self) -> Path:
        role = self._task._role
        return Path(role._role_path if role is not None else self._loader.get_basedir())

    def _renderer(self, templates: Path, task_vars: dict[str, Any]) -> Any:
        variables = dict(task_vars)
        variables.setdefault("ansible_managed", MANAGED)
        templar = self._templar.copy_with_new_env(searchpath=[str(templates)], available_variables=variables)

        def render(source: Path) -> str:
            text = trust_as_template(self._loader.get_text_file_contents(str(source)))
            try:
                rendered = templar.template(text, escape_backslashes=False, overrides=RENDERING)
            except AnsibleError as error:
                raise AnsibleActionFail(
                    f"The template {source.relative_to(templates)} cannot be rendered. "
                    "Nothing was changed on the host.",
                    orig_exc=error,
                ) from error
            return "" if rendered is None else str(rendered)

        return render


class Rules:
    """What the task says about owners, modes, secrets and validation of single paths."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        """Check the settings; raise ValueError for the first that cannot be meant."""
        self._paths: dict[str, dict[str, Any]] = arguments["paths"]
        self._secrets: list[str] = arguments["secret"]
        self._defaults = {"owner": arguments["owner"], "group": arguments["group"]}
        self._mode = octal(arguments["mode"], "mode")
        for pattern, settings in self._paths.items():
            absolute(pattern)
            if not isinstance(settings, dict):
                raise ValueError(f"paths[{pattern}] must be a dictionary of settings.")
            if unknown := sorted(set(settings) - SETTINGS):
                raise ValueError(
                    f"paths[{pattern}]: unknown {', '.join(unknown)}; "
                    f"known are {', '.join(sorted(SETTINGS))}."
                )
            if "mode" in settings:
                octal(settings["mode"], f"paths[{pattern}].mode")
            if settings.get("state", "present") not in ("present", "absent"):
                raise ValueError(f"paths[{pattern}].state must be present or absent.")
            if "%s" not in (settings.get("validate") or "%s"):
                raise ValueError(
                    f"paths[{pattern}].validate must contain %s, the path of the file to validate."
                )

    def is_absent(self, path: str) -> bool:
        """Whether the settings say that this file must not exist."""
        return self._settings(path).get("state") == "absent"

    def file(self, path: str, content: str, default_mode: str | None = None) -> dict[str, Any]:
        """The wire form of one file."""
        settings = self._settings(absolute(path))
        return {
            "path": path,
            "kind": "file",
            "content": content,
            "owner": settings.get("owner", self._defaults["owner"]),
            "group": settings.get("group", self._defaults["group"]),
            "mode": settings.get("mode", default_mode or self._mode),
            "secret": bool(settings.get("secret"))
            or any(matches(path, pattern) for pattern in self._secrets),
            "validate": settings.get("validate") or None,
        }

    def absent_directories(self) -> set[str]:
        """Directories that the settings say must not exist."""
        return {
            path.rstrip("/")
            for path, settings in self._paths.items()
            if path.endswith("/") and self.is_absent(path)
        }

    def directories(self) -> list[dict[str, Any]]:
        """The wire form of every directory that the settings name."""
        return [
            {
                "path": path.rstrip("/"),
                "kind": "directory",
                "owner": settings.get("owner", "root"),
                "group": settings.get("group", "root"),
                "mode": settings.get("mode", "0755"),
            }
            for path, settings in self._paths.items()
            if path.endswith("/") and settings.get("state", "present") == "present"
        ]

    def _settings(self, path: str) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for pattern, settings in self._paths.items():
            if pattern != path and matches(path, pattern):
                merged.update(settings)
        merged.update(self._paths.get(path, {}))
        return merged


def matches(path: str, pattern: str) -> bool:
    """Whether a path is meant by a pattern; a directory's own entry means no file."""
    return not pattern.endswith("/") and fnmatch.fnmatchcase(path, pattern)


def wanted(path: str, only: list[str] | None) -> bool:
    """Whether this call is about a path: without a selection it is about all of them."""
    return only is None or any(fnmatch.fnmatchcase(path, pattern.rstrip("/")) for pattern in only)


def absolute(path: str) -> str:
    """The path, or ValueError when it is not absolute and plain."""
    if not path.startswith("/") or "//" in path or ".." in path.split("/"):
        raise ValueError(f"{path!r} must be an absolute path without '..'.")
    return path


def octal(mode: Any, where: str) -> str:
    """The mode, or ValueError when YAML has made a decimal number of it."""
    if not isinstance(mode, str) or not re.fullmatch(r"0?[0-7]{3,4}", mode):
        raise ValueError(f'{where} is {mode!r}; it must be a quoted octal number such as "0644".')
    return mode


def walk(folder: Path, strip: str) -> dict[str, Path]:
    """Every file below a folder, from the path it has on the target to its source here."""
    found: dict[str, Path] = {}
    for source in sorted(folder.rglob("*")) if folder.is_dir() else []:
        relative = source.relative_to(folder)
        if source.is_dir() or any(part.startswith("_") for part in relative.parts):
            continue
        found["/" + relative.as_posix().removesuffix(strip)] = source
    return found
