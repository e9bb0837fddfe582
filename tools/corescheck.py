"""python -m tools.corescheck [2.19 …]: `ansible-test sanity` and `units` with each supported ansible-core.

The built collection is tested and not the checkout: that is what people install, and the checkout holds a
link which ansible-test forbids. Each core runs in a container of Debian 13, because the newer ones need a
newer Python than Debian 12 has.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lab import images
from lab.machine import as_root, podman, write_containers_conf
from lab.problem import Problem

ROOT = Path(__file__).resolve().parent.parent
CORES = ("2.19", "2.20", "2.21")
IMAGE = "debian13-baked"
BUILD_SECONDS = 180
CORE_SECONDS = 1200
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
#: How this machine reaches its package index; paths of its own beyond the authorities do not exist inside.
SETTINGS = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
)
PIP_FILES = (Path("/etc/pip.conf"), Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf")
LOCKS = ROOT / "requirements/cores"
STEPS = Path(__file__).with_suffix(".sh")


def main(words: Sequence[str]) -> int:
    """Test with the cores named, or all; 1 when one has complaints, 2 when one is not known."""
    unknown = [word for word in words if word not in CORES]
    if unknown:
        print(f"cores: there is no {', '.join(unknown)}; known: {', '.join(CORES)}", file=sys.stderr)
        return 2
    try:
        images.ensure([IMAGE], say=print)
        with tempfile.TemporaryDirectory(prefix="composer-cores-") as name:
            tarball = _build(Path(name))
            failed = [core for core in words or CORES if not _test(core, tarball)]
    except Problem as problem:
        print(f"cores: {problem}", file=sys.stderr)
        return 1
    for core in failed:
        print(f"cores: ansible-test complains with ansible-core {core} (above)", file=sys.stderr)
    return 1 if failed else 0


def _build(folder: Path) -> Path:
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    command = [str(galaxy), "collection", "build", "--output-path", str(folder), "."]
    subprocess.run(command, cwd=ROOT, check=True, timeout=BUILD_SECONDS)
    return next(folder.glob("*.tar.gz"))


def _test(core: str, tarball: Path) -> bool:
    print(f"cores: ansible-core {core}", flush=True)
    container = f"composer-core-{core}-{os.getpid()}"
    command = as_root(
        [
            "podman", "run", "--rm", "--name", container, "--network", "host", *_way_to_packages(),
            "-v", f"{tarball}:/given/{tarball.name}:ro", "-v", f"{LOCKS / core}.txt:/given/lock.txt:ro",
            "-v", f"{STEPS}:/given/test.sh:ro", images.reference(IMAGE),
            "/bin/bash", "/given/test.sh", "/given/lock.txt", f"/given/{tarball.name}",
        ],
        {"CONTAINERS_CONF": str(write_containers_conf())},
    )  # fmt: skip
    try:
        return subprocess.run(command, timeout=CORE_SECONDS, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        podman("rm", "--force", "--time", "0", container)
        raise Problem(
            f"ansible-test with ansible-core {core} did not end within {CORE_SECONDS} s.",
            "What it says of the collection is not known.",
            f"Run it alone: python -m tools.corescheck {core}",
            "Nothing was changed.",
        ) from None


def _way_to_packages() -> Iterator[str]:
    """The options that let a container reach the package index as this machine does."""
    given = [Path(os.environ["PIP_CONFIG_FILE"])] if "PIP_CONFIG_FILE" in os.environ else PIP_FILES
    found = [path for path in given if path.is_file()][-1:]
    for source, place in ((AUTHORITIES, AUTHORITIES), *((path, Path("/etc/pip.conf")) for path in found)):
        if source.is_file():
            yield from ("-v", f"{source}:{place}:ro")
    yield from ("-v", "/etc/hosts:/etc/hosts:ro", "-e", f"PIP_CERT={AUTHORITIES}")
    for name in SETTINGS:
        if name in os.environ:
            yield from ("-e", name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
