# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Bring a list of files, directories, links and absences about on this host.

The controller's half is `plugins/action/config_tree.py`. Everything that is read from the host is read first,
then every validation runs, then all new files are written beside the old ones, and only then is anything
changed: a refused file or a full disk leaves the host as it was.
"""

from __future__ import annotations

import base64
import contextlib
import grp
import json
import os
import pwd
import re
import shlex
import shutil
import stat
import tempfile
import zlib

from ansible_collections.euconquisto.composer.plugins.module_utils.write_faults import explain

NOTHING = "Nothing was changed."


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


def sweep(folder, name):
    """Remove new files of a run that died before they took their place; those of a run at work stay."""
    for found in os.listdir(folder):
        match = re.fullmatch(rf"\.{re.escape(name)}\.([0-9]+)\.new", found)
        if match and (int(match[1]) == os.getpid() or not at_work(match[1])):
            os.unlink(os.path.join(folder, found))


def at_work(pid):
    """Whether a process may be a module; after a start of the host its number may be anybody's."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as handle:
            return b"python" in handle.read()
    except OSError:
        return False


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
        #: New files that wait for their place, by path, and directories that were missing.
        self._laid = {}
        self._made = []

    def apply(self):
        """Do it. Returns `changed`, `changed_paths` and, when wanted, `diff`."""
        planned = [
            (entry, plan) for entry, plan in ((entry, self._plan(entry)) for entry in self.entries) if plan
        ]
        for entry, plan in planned:
            if entry.get("validate") and "content" in plan["differs"]:
                self._validate(entry)
        if self.check:
            self.changed_paths = [entry["path"] for entry, _plan in planned]
        else:
            self._lay(planned)
            for entry, _plan in planned:
                self._put(entry)
        if self.want_diff:
            self.diff = [plan["diff"] for _entry, plan in planned]
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
                f"Create it, or install the package that does, before this task. {NOTHING}"
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
        copy = os.path.join(self.staging or tempfile.gettempdir(), os.path.basename(entry["path"]))
        try:
            with tempfile.TemporaryDirectory(prefix="config_tree-", dir=self.staging) as folder:
                copy = os.path.join(folder, os.path.basename(entry["path"]))
                descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as handle:
                    handle.write(to_bytes(entry["content"]))
                code, out, err = self.run_command([word.replace("%s", copy) for word in command])
        except OSError as error:
            raise ConfigTreeError(f"To be checked, {explain(copy, error)} {NOTHING}") from error
        if code != 0:
            # A validator quotes the line it dislikes; of a secret file that would be the secret.
            said = (
                "its output is withheld" if entry["secret"] else (err.strip() or out.strip() or "no output")
            )
            raise ConfigTreeError(
                f"{entry['path']} would be invalid: `{entry['validate']}` answered {code}: "
                f"{said.replace(copy, entry['path'])}\nNothing was changed."
            )

    def _lay(self, planned):
        """Make missing directories and write each new file beside the old one; all of it or nothing."""
        for entry, plan in planned:
            path = entry["path"]
            try:
                if entry["kind"] == "directory" and "directory" in plan["differs"]:
                    self._make_directories(path)
                    self._set_attributes(path, entry)
                elif entry["kind"] == "link":
                    self._lay_new(path, lambda new, target=entry["target"]: os.symlink(target, new))
                elif entry["kind"] == "file" and "content" in plan["differs"]:
                    self._lay_new(path, lambda new, wanted=entry: self._write_new(new, wanted))
            except OSError as error:
                self._take_away()
                raise ConfigTreeError(f"{explain(path, error)} {NOTHING}") from error
            except ConfigTreeError:
                self._take_away()
                raise

    def _put(self, entry):
        """Let one entry take its place."""
        path = entry["path"]
        try:
            if path in self._laid:
                os.replace(self._laid[path], path)
                del self._laid[path]
            elif entry["kind"] == "absent":
                os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
            elif path not in self._made:
                self._set_attributes(path, entry)
        except OSError as error:
            state = NOTHING
            if self.changed_paths:
                before = ", ".join(self.changed_paths)
                state = f"Changed before it: {before}; the services concerned were not told."
            self._take_away()
            raise ConfigTreeError(f"{explain(path, error)} {state}") from error
        self.changed_paths.append(path)

    def _take_away(self):
        for new in self._laid.values():
            with contextlib.suppress(OSError):
                os.unlink(new)
        for path in reversed(self._made):
            # One that is in use already stays.
            with contextlib.suppress(OSError):
                os.rmdir(path)

    def _make_directories(self, path):
        missing = []
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            os.mkdir(path, mode=0o755)
            self._made.append(path)

    def _lay_new(self, path, make):
        folder, name = os.path.split(path)
        self._make_directories(folder)
        sweep(folder, name)
        new = os.path.join(folder, f".{name}.{os.getpid()}.new")
        # Known before it is made: half of it is taken away too.
        self._laid[path] = new
        make(new)

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
