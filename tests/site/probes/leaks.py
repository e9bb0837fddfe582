"""Runs on a lab host as root: looks for secrets where nobody may find them; tells where, as JSON.

The secrets come on standard input as JSON {name: value}, because an argument would itself be a finding. The
answer names them and the places, never the values.
"""

import base64
import json
import os
import stat
import subprocess
import sys
import urllib.parse
from pathlib import Path

LARGEST = 8 * 1024 * 1024
TREES = (
    "/etc",
    "/usr/local",
    "/usr/lib/systemd",
    "/lib/systemd",
    "/opt",
    "/var",
    "/run",
    "/tmp",
    "/home",
    "/root",
    "/srv",
)
# The journal is searched as text, by journalctl; its files are compressed.
NOT_FILES = ("/var/log/journal", "/run/log/journal")
UNITS = ("/etc/systemd", "/run/systemd", "/usr/lib/systemd", "/usr/local/lib/systemd")
JOURNAL_SECONDS = 120


def forms(value):
    """A secret as it stands, and as it looks when somebody encoded it on the way."""
    raw = value.encode()
    return {
        raw,
        base64.b64encode(raw).rstrip(b"="),
        urllib.parse.quote(value, safe="").encode(),
        json.dumps(value)[1:-1].encode(),
    }


def search(data, secrets, place, found):
    for name, values in secrets.items():
        if any(value in data for value in values):
            found.append([name, place])


def journals(secrets, found):
    shown = subprocess.run(
        ["journalctl", "--no-pager", "--all", "--output=export"],
        capture_output=True, check=True, timeout=JOURNAL_SECONDS,
    ).stdout  # fmt: skip
    search(shown, secrets, "the journal", found)
    return len(shown)


def processes(secrets, found):
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        for part in ("cmdline", "environ"):
            try:
                data = (process / part).read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            count += 1
            name = (process / "comm").read_text().strip() if (process / "comm").exists() else "ended"
            search(data, secrets, f"{part} of {name}", found)
    return count


def files(secrets, found):
    """World-readable files that the world can reach, and unit files whatever their mode."""
    count = 0
    seen = set()
    for tree in TREES:
        for folder, below, names in os.walk(tree):
            reachable = Path(folder).stat().st_mode & stat.S_IXOTH
            if not folder.startswith(UNITS) and (not reachable or folder in NOT_FILES):
                below.clear()
                continue
            for name in names:
                path = f"{folder}/{name}"
                try:
                    about = os.lstat(path)
                except FileNotFoundError:
                    continue
                if (
                    not stat.S_ISREG(about.st_mode)
                    or about.st_size > LARGEST
                    or (about.st_dev, about.st_ino) in seen
                ):
                    continue
                if about.st_mode & stat.S_IROTH or folder.startswith(UNITS):
                    seen.add((about.st_dev, about.st_ino))
                    count += 1
                    try:
                        data = Path(path).read_bytes()
                    except FileNotFoundError:
                        continue
                    search(data, secrets, path, found)
    return count


def main():
    secrets = {name: forms(value) for name, value in json.load(sys.stdin).items()}
    found = []
    looked = {
        "journal bytes": journals(secrets, found),
        "process files": processes(secrets, found),
        "files": files(secrets, found),
    }
    print(json.dumps({"found": sorted(map(list, {tuple(one) for one in found})), "looked": looked}))


main()
