"""Builds the one artifact that hosts install offline: the server, every wheel it needs, and their hashes.

The name of the file is the release id: version and a hash of the lock and of the source. The same source
therefore has the same name everywhere, and is built once. Nothing here talks to a host; roles/composer_mcp
does that.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
LOCK = Path("requirements/server.txt")
#: What goes into our own wheel; a change in any of them is another release.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "src/composer_mcp")
#: Raised when the layout of the bundle changes, so that an old file is not taken for a new one.
FORMAT = 1
#: Python of each supported Debian (12 and 13), and the glibc that both have.
PYTHONS = ("3.11", "3.13")
GLIBC_MINOR = 36
MACHINE = "x86_64"


class BundleError(Exception):
    """The bundle could not be built; the text tells the operator what to do."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One line of the lock: what to install, where, and the hashes its files may have."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def name(self) -> str:
        """The name as wheels spell it."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The one version that the lock allows."""
        return next(iter(self.requirement.specifier)).version

    def applies_to(self, python: str) -> bool:
        """Tell whether a Debian host with this Python installs it."""
        marker = self.requirement.marker
        return marker is None or marker.evaluate(
            {
                "implementation_name": "cpython",
                "implementation_version": f"{python}.0",
                "os_name": "posix",
                "platform_machine": MACHINE,
                "platform_python_implementation": "CPython",
                "platform_system": "Linux",
                "python_full_version": f"{python}.0",
                "python_version": python,
                "sys_platform": "linux",
                "extra": "",
            }
        )


def read_lock(text: str) -> list[Locked]:
    """Parse a lock made with ``--generate-hashes``.

    Raises:
        BundleError: a requirement is not pinned to one version or has no hash.
    """
    logical = text.replace("\\\n", " ").splitlines()
    entries = []
    for line in logical:
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        hashes = frozenset(w.removeprefix("--hash=sha256:") for w in words if w.startswith("--hash=sha256:"))
        requirement = Requirement(" ".join(w for w in words if not w.startswith("--hash=")))
        pins = list(requirement.specifier)
        if not hashes or len(pins) != 1 or pins[0].operator != "==":
            raise BundleError(
                f"bundle: {LOCK} does not pin {requirement.name} to one version with its sha256.\n"
                "        Hosts install only what is pinned. Resolve the lock anew: make lock\n"
                "        Nothing was built."
            )
        entries.append(Locked(requirement, hashes))
    return entries


def source_files(root: Path) -> Iterator[Path]:
    """Every file of our own wheel, in a stable order."""
    for name in SOURCES:
        path = root / name
        found = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        yield from (p for p in found if "__pycache__" not in p.parts and p.suffix != ".pyc")


def release_id(root: Path = ROOT) -> str:
    """``composer-mcp-<version>-<hash>``: equal for equal source and lock, on any machine."""
    digest = hashlib.sha256(f"{FORMAT} {PYTHONS} {GLIBC_MINOR} {MACHINE}".encode())
    for path in [root / LOCK, *source_files(root)]:
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(root)}\0{len(content)}\0".encode())
        digest.update(content)
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return f"composer-mcp-{version}-{digest.hexdigest()[:12]}"


def target_tags(python: str) -> frozenset[Tag]:
    """The wheel tags that Debian's CPython of this version accepts."""
    major, minor = (int(part) for part in python.split("."))
    platforms = _platforms()
    return frozenset(
        [
            *cpython_tags((major, minor), platforms=platforms),
            *compatible_tags((major, minor), f"cp{major}{minor}", platforms),
        ]
    )


def _platforms() -> list[str]:
    """Manylinux platforms from the newest glibc both Debians have down to the oldest."""
    numbered = [f"manylinux_2_{minor}_{MACHINE}" for minor in range(GLIBC_MINOR, 4, -1)]
    return [*numbered, *(f"manylinux{old}_{MACHINE}" for old in ("2014", "2010", "1")), f"linux_{MACHINE}"]


def sha256(path: Path) -> str:
    """The file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_wheels(wanted: Iterable[Locked], folder: Path, python: str) -> tuple[dict[str, Path], list[Locked]]:
    """Sort what the lock asks for into fitting, untampered wheels of ``folder``, and the rest."""
    tags = target_tags(python)
    present: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(folder.glob("*.whl")):
        name, version, _, wheel_tags = parse_wheel_filename(path.name)
        if wheel_tags & tags:
            present.setdefault((name, str(version)), []).append(path)
    found: dict[str, Path] = {}
    missing = []
    for entry in wanted:
        fitting = (p for p in present.get((entry.name, entry.version), []) if sha256(p) in entry.hashes)
        path_or_none = next(fitting, None)
        if path_or_none is None:
            missing.append(entry)
        else:
            found[entry.name] = path_or_none
    return found, missing


class Progress:
    """Says what is being done and since when."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, message: str) -> None:
        """Print one line to standard error; standard output is kept for the result."""
        sys.stderr.write(f"bundle: {time.monotonic() - self._start:5.1f} s  {message}\n")
        sys.stderr.flush()


def fetch(missing: list[Locked], folder: Path, python: str, say: Callable[[str], None]) -> None:
    """Download the missing wheels, hashes checked, for another Python than the one running.

    pip judges markers by its own interpreter, so the list it gets has them already applied.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listing:
        for entry in missing:
            hashes = " ".join(f"--hash=sha256:{h}" for h in sorted(entry.hashes))
            listing.write(f"{entry.name}=={entry.version} {hashes}\n")
        listing.flush()
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--require-hashes", "--progress-bar=off", "--no-input", "--timeout=60"]
        command += ["--disable-pip-version-check", "--python-version", python, "--implementation", "cp"]
        command += [word for platform in _platforms() for word in ("--platform", platform)]
        command += ["--dest", str(folder), "--requirement", listing.name]
        run_tool(command, say, "Downloading ", f"the wheels for Python {python} could not be downloaded")


def run_tool(command: list[str], say: Callable[[str], None], show: str, trouble: str) -> None:
    """Run a tool, pass on the lines that tell progress, and explain a failure with its last words."""
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if line.lstrip().startswith(show):
                say(line.strip())
    if process.returncode != 0:
        last = "\n          ".join(lines[-8:])
        raise BundleError(
            f"bundle: {trouble}:\n          {last}\n"
            "        Check the connection to the package index (pip config list), then: make bundle\n"
            "        What was downloaded is kept; no bundle was written."
        )


def build_own_wheel(folder: Path, say: Callable[[str], None]) -> Path:
    """Build our own wheel; hatchling makes equal bytes of equal source."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    run_tool(command, say, "composer_mcp-", "our own wheel could not be built")
    return next(folder.glob("composer_mcp-*.whl"))


def requirement_list(entries: list[Locked], wheels: dict[str, list[Path]]) -> str:
    """The list that a host installs: exactly the files in the bundle, nothing the index may offer besides."""
    lines = []
    for entry in entries:
        marker = f" ; {entry.requirement.marker}" if entry.requirement.marker else ""
        hashes = sorted({sha256(path) for path in wheels[entry.name]})
        lines.append(
            f"{entry.name}=={entry.version}{marker}"
            + "".join(f" \\\n    --hash=sha256:{digest}" for digest in hashes)
        )
    return "\n".join(lines) + "\n"


def write_tar(target: Path, stem: str, files: dict[str, bytes | Path]) -> None:
    """Write the bundle so that equal content gives equal bytes: sorted, no owner, no time.

    It is not compressed: wheels are already.
    """
    partial = target.with_suffix(f".{os.getpid()}")
    with tarfile.open(partial, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            content = files[name]
            member = tarfile.TarInfo(f"{stem}/{name}")
            member.mode = 0o644
            if isinstance(content, bytes):
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                member.size = content.stat().st_size
                with content.open("rb") as file:
                    tar.addfile(member, file)
    partial.replace(target)


def collect(root: Path, say: Callable[[str], None]) -> tuple[list[Locked], dict[str, list[Path]]]:
    """The locked requirements that any target needs, and their wheels; downloads what the cache lacks."""
    lock = read_lock((root / LOCK).read_text())
    used: list[Locked] = []
    wheels: dict[str, list[Path]] = {}
    for python in PYTHONS:
        wanted = [entry for entry in lock if entry.applies_to(python)]
        used += [entry for entry in wanted if entry not in used]
        folder = root / ".cache" / "wheels"
        folder.mkdir(parents=True, exist_ok=True)
        found, missing = find_wheels(wanted, folder, python)
        say(f"Python {python}: {len(found)} of {len(wanted)} wheels are in the cache")
        if missing:
            fetch(missing, folder, python, say)
            found, missing = find_wheels(wanted, folder, python)
        if missing:
            names = ", ".join(sorted(entry.name for entry in missing))
            raise BundleError(
                f"bundle: no fitting wheel for Python {python}: {names}.\n"
                "        Hosts compile nothing, so each dependency must offer a wheel for Debian's Python.\n"
                f"        Take a version that has one (pyproject.toml, then make lock), or empty {folder}.\n"
                "        No bundle was written."
            )
        for name, path in found.items():
            wheels.setdefault(name, []).append(path)
    return used, wheels


def build(root: Path = ROOT, say: Callable[[str], None] | None = None) -> Path:
    """Build the bundle of this checkout, or find it already built; returns its path.

    Raises:
        BundleError: the lock is incomplete or a wheel cannot be had.
    """
    say = say or Progress()
    stem = release_id(root)
    target = root / "dist" / f"{stem}.tar"
    if target.exists():
        say(f"dist/{target.name} is already there; source and lock are unchanged")
    else:
        target.parent.mkdir(exist_ok=True)
        used, wheels = collect(root, say)
        with tempfile.TemporaryDirectory() as scratch:
            own = build_own_wheel(Path(scratch), say)
            version = str(parse_wheel_filename(own.name)[1])
            entry = Locked(Requirement(f"composer-mcp=={version}"), frozenset({sha256(own)}))
            used.append(entry)
            wheels[entry.name] = [own]
            write_tar(target, stem, contents(stem, version, used, wheels))
        say(f"dist/{target.name}: {target.stat().st_size / 1e6:.0f} MB")
    # Two builds at once are harmless: each file and the link are put in place whole.
    link = target.parent / f".latest.{os.getpid()}"
    link.symlink_to(target.name)
    link.replace(target.parent / "composer-mcp-latest.tar")
    return target


def contents(
    stem: str, version: str, used: list[Locked], wheels: dict[str, list[Path]]
) -> dict[str, bytes | Path]:
    """Every file of the bundle: wheels, what to install, what it is, and the checksums of all that."""
    files: dict[str, bytes | Path] = {
        f"wheels/{path.name}": path for paths in wheels.values() for path in paths
    }
    files["requirements.txt"] = requirement_list(used, wheels).encode()
    manifest = {
        "release": stem,
        "version": version,
        "format": FORMAT,
        "pythons": list(PYTHONS),
        "platform": f"manylinux_2_{GLIBC_MINOR}_{MACHINE}",
        "packages": {entry.name: entry.version for entry in sorted(used, key=lambda e: e.name)},
    }
    files["manifest.json"] = (json.dumps(manifest, indent=2) + "\n").encode()
    sums = {
        name: hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else sha256(content)
        for name, content in files.items()
    }
    files["SHA256SUMS"] = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
    return files


def main(arguments: list[str] | None = None) -> int:
    """Build the bundle and print its path on standard output."""
    parser = argparse.ArgumentParser(prog="make bundle", description=__doc__)
    parser.add_argument("--id", action="store_true", help="print the release id only; build nothing")
    options = parser.parse_args(arguments)
    if options.id:
        print(release_id())
        return 0
    try:
        print(build())
    except BundleError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
