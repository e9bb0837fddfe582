"""Runs on a lab host as root: an archive of its own offers newer builds; tells their versions, as JSON.

    python3 newer.py MARK PACKAGE …     offer the same content under a version that ends in MARK
    python3 newer.py                    give the host its own archive back

While it lasts that archive is the only one, so what there is to update is known. The files are the real ones.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ARCHIVE = Path("/srv/newer")
OWN, AWAY = Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.away")
LIST = Path("/etc/apt/sources.list.d/newer.list")
SECONDS = 180


def run(*words, folder=ARCHIVE):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True, timeout=SECONDS)
    return done.stdout.strip()


def build(mark, name):
    """Take a package of the archive apart and make it anew under the new version."""
    # Of the archive, not what an earlier test has installed.
    version = run("apt-cache", "madison", name).splitlines()[0].split("|")[1].strip()
    run("apt-get", "download", "-q", f"{name}={version}")
    (package,) = ARCHIVE.glob(f"{name}_*.deb")
    run("dpkg-deb", "--raw-extract", package.name, "parts")
    package.unlink()
    control = ARCHIVE / "parts/DEBIAN/control"
    text = re.sub(r"^(Version: .*)$", rf"\1+{mark}", control.read_text(), count=1, flags=re.MULTILINE)
    control.write_text(text)
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", "parts", f"{name}.deb")
    shutil.rmtree(ARCHIVE / "parts")
    data = (ARCHIVE / f"{name}.deb").read_bytes()
    facts = f"Filename: ./{name}.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    return run("dpkg-deb", "--field", f"{name}.deb") + "\n" + facts


def restore():
    shutil.rmtree(ARCHIVE, ignore_errors=True)
    LIST.unlink(missing_ok=True)
    if AWAY.exists():
        AWAY.rename(OWN)


def main():
    restore()
    mark, names = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if names:
        ARCHIVE.mkdir(mode=0o755)
        run("apt-get", "update", "-q")
        (ARCHIVE / "Packages").write_text("\n".join(build(mark, name) for name in names))
        OWN.rename(AWAY)
        LIST.write_text(f"deb [trusted=yes] file:{ARCHIVE} ./\n")
    versions = {name: run("dpkg-deb", "--field", f"{name}.deb", "Version") if names else "" for name in names}
    print(json.dumps(versions))


main()
