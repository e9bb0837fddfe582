# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Bring a list of files, directories, links and absences about on this host.

The controller's half is `plugins/action/config_tree.py`. Everything that is read from the host is read first,
then every validation runs, and only then is anything changed: a refused file leaves the host as it was.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import grp
import json
import os
import pwd
import shlex
import shutil
import stat
import tempfile
import zlib


class ConfigTreeError(Exception):
    """The tree cannot be brought about; the message is for the operator."""


def pack(entries):
    """Entries as one opaque text. Bytes that are not UTF-8 are carried as surrogates."""
    return base64.b64encode(zlib.compress(json.dumps(entries).encode("ascii"))).decode("ascii")


def unpack(payload):
    """The inverse of `pack`."""
    return json.loads(zlib.decompress(base64.b64decode(payload)).decode("ascii"))


def to_bytes(content):
    return content.encode("utf-8", "surrogateescape")


def readable(data):
    """Bytes for a diff: text, or a remark when they are not text."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return f"[{len(data)} bytes that are not text]\n"


class Tree:
    """The wanted entries and what is known about the host.

    Entries are dictionaries: `path`, `kind` (file, directory, link, absent), and as the kind needs `content`,
    `target`, `owner`, `group`, `mode`, `secret`, `validate`.
    """

    ORDER = {"directory": 0, "file": 1, "link": 2, "absent": 3}

    def __init__(self, entries, check, want_diff, run_command, staging):
        self.entries = sorted(entries, key=lambda entry: (self.ORDER[entry["kind"]], entry["path"]))
        self.check = check
        self.want_diff = want_diff
        self.run_command = run_command
        self.staging = staging
        self.changed_paths = []
        self.diff = []

    def apply(self):
        """Do it. Returns `changed`, `changed_paths` and, when wanted, `diff`."""
        planned = [
            (entry, plan) for entry, plan in ((entry, self._plan(entry)) for entry in self.entries) if plan
        ]
        for entry, plan in planned:
            if entry.get("validate") and "content" in plan["differs"]:
                self._validate(entry)
        for entry, plan in planned:
            if not self.check:
                self._write(entry, plan)
            self.changed_paths.append(entry["path"])
            if self.want_diff:
                self.diff.append(plan["diff"])
        outcome = {"changed": bool(planned), "changed_paths": self.changed_paths}
        if self.want_diff:
            outcome["diff"] = self.diff
        return outcome

    # What differs -------------------------------------------------------------------------------------------

    def _plan(self, entry):
        """None when the host already has it; otherwise what differs and the diff."""
        path, kind = entry["path"], entry["kind"]
        try:
            info = os.lstat(path)
        except FileNotFoundError:
            info = None
        except NotADirectoryError:
            raise ConfigTreeError(
                f"{path}: one of its parents is a file, not a directory. Nothing was changed."
            ) from None
        if kind == "absent":
            return self._plan_absent(path, info)
        if kind == "link":
            return self._plan_link(entry, info)
        if kind == "directory":
            return self._plan_directory(entry, info)
        return self._plan_file(entry, info)

    def _plan_absent(self, path, info):
        if info is None:
            return None
        if stat.S_ISDIR(info.st_mode) and os.listdir(path):
            raise ConfigTreeError(
                f"{path} should be absent, but it is a directory with content. Nothing was changed."
            )
        return {"differs": ["absent"], "diff": self._state_diff(path, "present", "absent")}

    def _plan_link(self, entry, info):
        path, target = entry["path"], entry["target"]
        if info is not None and stat.S_ISDIR(info.st_mode):
            raise ConfigTreeError(f"{path} should be a link, but it is a directory. Nothing was changed.")
        before = os.readlink(path) if info is not None and stat.S_ISLNK(info.st_mode) else None
        if before == target:
            return None
        was = f"link to {before}" if before else "absent" if info is None else "file"
        return {"differs": ["target"], "diff": self._state_diff(path, was, f"link to {target}")}

    def _plan_directory(self, entry, info):
        path = entry["path"]
        if info is not None and not stat.S_ISDIR(info.st_mode):
            # A directory reached through a link (/var/run) is that directory.
            if not os.path.isdir(path):
                raise ConfigTreeError(
                    f"{path} should be a directory, but it is not one. Nothing was changed."
                )
            info = os.stat(path)
        differs = ["directory"] if info is None else self._attributes_that_differ(entry, info)
        if not differs:
            return None
        return {"differs": differs, "diff": self._state_diff(path, self._seen(info), self._wanted(entry))}

    def _plan_file(self, entry, info):
        path, content = entry["path"], to_bytes(entry["content"])
        if info is not None and stat.S_ISDIR(info.st_mode):
            raise ConfigTreeError(f"{path} should be a file, but it is a directory. Nothing was changed.")
        regular = info is not None and stat.S_ISREG(info.st_mode)
        before = b""
        if regular:
            with open(path, "rb") as handle:
                before = handle.read()
        differs = self._attributes_that_differ(entry, info) if regular else ["new"]
        if not regular or before != content:
            differs = [*differs, "content"]
        if not differs:
            return None
        return {"differs": differs, "diff": self._file_diff(entry, info, before, content, differs)}

    def _attributes_that_differ(self, entry, info):
        wanted_uid, wanted_gid = self._owner(entry)
        differs = []
        if stat.S_IMODE(info.st_mode) != int(entry["mode"], 8):
            differs.append("mode")
        if info.st_uid != wanted_uid:
            differs.append("owner")
        if info.st_gid != wanted_gid:
            differs.append("group")
        return differs

    def _owner(self, entry):
        """Numeric owner and group. Unknown names are an error, in check mode a difference."""
        try:
            return pwd.getpwnam(entry["owner"]).pw_uid, grp.getgrnam(entry["group"]).gr_gid
        except KeyError as error:
            if self.check:
                return -1, -1
            raise ConfigTreeError(
                f"{entry['path']}: this host has no such user or group: {error.args[0]}. "
                "Create it, or install the package that does, before this task."
            ) from None

    # Diffs --------------------------------------------------------------------------------------------------

    @staticmethod
    def _state_diff(path, before, after):
        return {"before_header": path, "after_header": path, "before": before + "\n", "after": after + "\n"}

    @staticmethod
    def _seen(info):
        if info is None:
            return "absent"
        try:
            owner = pwd.getpwuid(info.st_uid).pw_name
        except KeyError:
            owner = str(info.st_uid)
        try:
            group = grp.getgrgid(info.st_gid).gr_name
        except KeyError:
            group = str(info.st_gid)
        return f"{owner}:{group} {stat.S_IMODE(info.st_mode):04o}"

    @staticmethod
    def _wanted(entry):
        return f"{entry['owner']}:{entry['group']} {int(entry['mode'], 8):04o}"

    def _file_diff(self, entry, info, before, content, differs):
        path, same_content = entry["path"], "content" not in differs
        headers = {
            "before_header": f"{path} ({self._seen(info)})",
            "after_header": f"{path} ({self._wanted(entry)})",
        }
        if same_content:
            return {**headers, "before": self._seen(info) + "\n", "after": self._wanted(entry) + "\n"}
        if entry["secret"]:
            was = "[absent]\n" if info is None else "[secret: old content, not shown]\n"
            return {**headers, "before": was, "after": "[secret: new content, not shown]\n"}
        return {**headers, "before": readable(before), "after": readable(content)}

    # Doing it -----------------------------------------------------------------------------------------------

    def _validate(self, entry):
        command = shlex.split(entry["validate"])
        if self.check and shutil.which(command[0], path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            return
        folder = tempfile.mkdtemp(prefix="config_tree-", dir=self.staging)
        copy = os.path.join(folder, os.path.basename(entry["path"]))
        try:
            descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(to_bytes(entry["content"]))
            code, out, err = self.run_command([word.replace("%s", copy) for word in command])
        finally:
            shutil.rmtree(folder)
        if code != 0:
            # A validator quotes the line it dislikes; of a secret file that would be the secret.
            said = (
                "its output is withheld" if entry["secret"] else (err.strip() or out.strip() or "no output")
            )
            raise ConfigTreeError(
                f"{entry['path']} would be invalid: `{entry['validate']}` answered {code}: "
                f"{said.replace(copy, entry['path'])}\nNothing was changed."
            )

    def _write(self, entry, plan):
        path, kind = entry["path"], entry["kind"]
        if kind == "absent":
            os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        elif kind == "directory":
            os.makedirs(path, mode=0o755, exist_ok=True)
            self._set_attributes(path, entry)
        elif kind == "link":
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            self._replace(path, lambda new: os.symlink(entry["target"], new))
        elif "content" in plan["differs"]:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            self._replace(path, lambda new: self._write_new(new, entry))
        else:
            self._set_attributes(path, entry)

    def _write_new(self, new, entry):
        # Closed to everybody until owner and mode are final: a secret is never readable in between.
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(to_bytes(entry["content"]))
            handle.flush()
            self._set_attributes(handle.fileno(), entry)
            os.fsync(handle.fileno())

    def _set_attributes(self, where, entry):
        os.chown(where, *self._owner(entry))
        os.chmod(where, int(entry["mode"], 8))

    @staticmethod
    def _replace(path, make):
        new = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}.new")
        try:
            make(new)
            os.replace(new, path)
        except OSError as error:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new)
            if error.errno == errno.EROFS:
                raise ConfigTreeError(
                    f"{path}: its file system is read-only; the file is as it was."
                ) from error
            raise
