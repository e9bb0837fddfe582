"""Host images: bare Debian 12 and 13 with systemd, ssh and Python, and the same with every role's packages.

    python -m lab.images [debian13] [debian12] [debian13-baked] …

An image is rebuilt when its recipe (packages, options, archive) has changed; a label says which it has.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from lab.machine import CACHE, GIB, memory_available, podman, run
from lab.problem import Problem

SUITES = {"debian12": "bookworm", "debian13": "trixie"}
NAMES = ("debian13", "debian12", "debian13-baked", "debian12-baked")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PUBLIC_MIRRORS = {
    "Debian": "http://deb.debian.org/debian",
    "Debian-Security": "http://deb.debian.org/debian-security",
}
HERE = Path(__file__).resolve().parent
PACKAGES = HERE / "packages.txt"
LABEL = "composer.recipe"
BUILD_MEMORY = 4 * GIB
BUILD_SECONDS = 900

BASE_PACKAGES = [
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "python3", "python3-apt", "sudo", "iproute2",
    "iputils-ping", "openssh-server", "ca-certificates", "procps", "nftables", "netbase", "curl",
]  # fmt: skip
# A container has no seats, no devices and no terminals of its own: these units would only fail or wait.
MASKED_UNITS = [
    "systemd-networkd-wait-online.service", "getty.target", "console-getty.service", "systemd-logind.service",
    "systemd-udevd.service", "systemd-udev-trigger.service",
]  # fmt: skip

Say = Callable[[str], None]


def reference(name: str) -> str:
    """The image's full name in podman's store."""
    return f"localhost/composer-{name}"


def packages() -> list[str]:
    """The packages of all roles, as listed in packages.txt: each once, in alphabetical order."""
    lines = PACKAGES.read_text(encoding="utf-8").splitlines()
    return sorted({word for line in lines if not line.startswith("#") for word in line.split()})


def recipe(name: str) -> str:
    """A digest of everything that decides the image's content."""
    # The archive and the way to it are baked in as well: a machine that changed its mirror needs new images.
    decisions = (SUITES[_bare(name)], _bootstrap_options(), sorted(mirrors().items()), _apt_options())
    digest = hashlib.sha256(repr(decisions).encode())
    if name.endswith("-baked"):
        digest.update(repr((packages(), BAKE)).encode())
    return digest.hexdigest()[:16]


def debs(name: str) -> Path:
    """The folder of downloaded packages of a Debian version, shared read-only with hosts."""
    return CACHE / "debs" / _bare(name)


def is_current(name: str) -> bool:
    """Whether the image exists and was made by the present recipe."""
    found = podman(
        "image", "inspect", "--format", f'{{{{index .Labels "{LABEL}"}}}}', reference(name), check=False
    )
    return found.returncode == 0 and found.stdout.strip() == recipe(name)


def exists(name: str) -> bool:
    """Whether the image is in podman's store, whatever its recipe."""
    return podman("image", "exists", reference(name), check=False).returncode == 0


def ensure(names: Sequence[str], say: Say = print) -> list[str]:
    """Build what is missing or outdated among `names`; return the names that were built.

    Raises:
        Problem: a tool failed or the Debian archive cannot be reached.
    """
    built = []
    for name in names:
        if is_current(name):
            continue
        with _lock(name, say):
            if is_current(name):
                continue
            if name.endswith("-baked"):
                built += ensure([_bare(name)], say)
                _bake(name, say)
            else:
                _build(name, say)
            built.append(name)
    if built:
        remove_replaced()
    return built


def remove_replaced() -> None:
    """Remove the images that lost their name to a newer one.

    One that a container still uses stays until the next time; podman then reports an error, which is none.
    """
    podman("image", "prune", "--force", "--filter", f"label={LABEL}", check=False)


def fill_package_cache(name: str, say: Say = print) -> None:
    """Download every role's packages once, so that hosts which install at the same time all find them."""
    done = debs(name) / f".{recipe(_bare(name) + '-baked')}"
    if done.exists():
        return
    say(f"downloading the packages of all roles for {_bare(name)}")
    with _lock(f"debs-{_bare(name)}", say):
        debs(name).mkdir(parents=True, exist_ok=True)
        script = f"apt-get update -qq && apt-get install -qq -y --download-only {' '.join(packages())}"
        podman(
            "run",
            "--rm",
            "-v",
            f"{debs(name)}:/var/cache/apt/archives",
            reference(_bare(name)),
            "sh",
            "-c",
            script,
            timeout=BUILD_SECONDS,
        )
        run(["touch", done], root=True)


def _bare(name: str) -> str:
    return name.removesuffix("-baked")


@contextmanager
def _lock(name: str, say: Say) -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is building {name}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@cache
def mirrors() -> dict[str, str]:
    """The Debian archives that this machine itself uses, by label."""
    listed = run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"], check=False
    )
    return parse_mirrors(listed.stdout)


def parse_mirrors(listing: str) -> dict[str, str]:
    """Read `LABEL URI` lines; an archive that is not listed keeps its public address."""
    found = dict(PUBLIC_MIRRORS)
    for line in sorted(set(listing.splitlines()), reverse=True):
        label, _, uri = line.partition(" ")
        if label in found and uri.startswith(("http://", "https://")):
            found[label] = uri.strip().rstrip("/")
    return found


@cache
def _apt_options() -> list[str]:
    """This machine's proxy, TLS and validity settings for apt, and nothing else of its configuration."""
    dump = run(["apt-config", "dump", "--format", '%F "%v";%n'], check=False).stdout
    return select_apt_options(dump)


def archive_ports() -> list[int]:
    """The ports by which hosts reach the Debian archive, or the proxy on the way to it."""
    return select_ports([*mirrors().values(), *_apt_options()])


def select_ports(settings: Iterable[str]) -> list[int]:
    """The ports of the addresses in these settings, each once; a proxy stands among apt's options."""
    found = {
        int(port or {"http": 80, "https": 443}[scheme])
        for setting in settings
        for scheme, port in re.findall(r"\b(https?)://[^/\s\":]+(?::(\d+))?", setting)
    }
    return sorted(found)


def select_apt_options(dump: str) -> list[str]:
    """Keep the lines of `apt-config dump` that say how to reach an archive."""
    wanted = ("Acquire::http::", "Acquire::https::", "Acquire::ftp::", "Acquire::Retries ")
    also = ("Acquire::Check-Valid-Until ", "Acquire::Check-Date ")
    return [line for line in dump.splitlines() if line.startswith(wanted + also)]


def _bootstrap_options() -> list[str]:
    return [
        "--variant=apt",
        "--mode=root",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        f"--include={','.join(BASE_PACKAGES)}",
        '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*; : > "$1"/etc/machine-id',
        f'--customize-hook=chroot "$1" systemctl mask {" ".join(MASKED_UNITS)}',
    ]


def _build(name: str, say: Say) -> None:
    suite, archive = SUITES[name], mirrors()
    say(f"building {reference(name)} from {archive['Debian']}")
    with _workspace() as workspace:
        tarball = workspace / f"{name}.tar"
        sources = [
            f"deb [signed-by={KEYRING}] {archive['Debian']} {suite} main",
            f"deb [signed-by={KEYRING}] {archive['Debian']} {suite}-updates main",
            f"deb [signed-by={KEYRING}] {archive['Debian-Security']} {suite}-security main",
        ]
        options = _bootstrap_options() + [f"--aptopt={line}" for line in _apt_options()]
        run(
            ["mmdebstrap", "--quiet", *options, suite, tarball, *sources],
            root=True,
            env={"TMPDIR": str(workspace)},
            timeout=BUILD_SECONDS,
        )
        changes = ['CMD ["/sbin/init"]', "STOPSIGNAL SIGRTMIN+3", f"LABEL {LABEL}={recipe(name)}"]
        flags = [word for change in changes for word in ("--change", change)]
        podman("import", "--quiet", *flags, tarball, reference(name), timeout=BUILD_SECONDS)


@contextmanager
def _workspace() -> Iterator[Path]:
    """A folder for the build: in memory when there is room (two to three times as fast), else on disk."""
    folder = CACHE / f"build-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    in_memory = memory_available() > BUILD_MEMORY * 3 // 2
    if in_memory:
        run(["mount", "-t", "tmpfs", "-o", f"size={BUILD_MEMORY},mode=0755", "lab-build", folder], root=True)
    try:
        yield folder
    finally:
        if in_memory:
            run(["umount", "--lazy", folder], root=True)
        run(["rm", "-rf", folder], root=True)


# Units that the packages enable are switched off again: a role must find a service as it is before anyone
# decided to run it, and a Molecule host must not start six servers that its scenario has no use for.
BAKE = """
set -e
export DEBIAN_FRONTEND=noninteractive
enabled() { systemctl --root=/ list-unit-files --state=enabled --no-legend | awk '{print $1}' | sort; }
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
enabled > /tmp/before
apt-get update -qq
apt-get install -qq -y --no-install-recommends "$@"
enabled > /tmp/after
comm -13 /tmp/before /tmp/after | xargs -r systemctl --root=/ disable
rm -f /usr/sbin/policy-rc.d /tmp/before /tmp/after /etc/ssh/ssh_host_*
: > /etc/machine-id
touch /etc/composer-baked
"""


def _bake(name: str, say: Say) -> None:
    say(f"building {reference(name)}: {len(packages())} packages of the roles on top of {_bare(name)}")
    container = f"lab-bake-{name}"
    debs(name).mkdir(parents=True, exist_ok=True)
    podman("rm", "--force", "--ignore", "--time", "0", container)
    try:
        podman(
            "run",
            "--name",
            container,
            "-v",
            f"{debs(name)}:/var/cache/apt/archives",
            reference(_bare(name)),
            "sh",
            "-c",
            BAKE,
            "bake",
            *packages(),
            timeout=BUILD_SECONDS,
        )
        podman(
            "commit",
            "--quiet",
            "--change",
            f"LABEL {LABEL}={recipe(name)}",
            "--change",
            'CMD ["/sbin/init"]',
            container,
            reference(name),
            timeout=BUILD_SECONDS,
        )
    finally:
        podman("rm", "--force", "--ignore", "--time", "0", container)


def main() -> int:
    """Build the named images, or all."""
    names = sys.argv[1:] or list(NAMES)
    unknown = [name for name in names if name not in NAMES]
    try:
        if unknown:
            raise Problem(
                f"there is no image named {', '.join(unknown)}.",
                "An image is one of the lab's own recipes.",
                f"Choose among: {', '.join(NAMES)}.",
                "Nothing was built.",
            )
        built = ensure(names)
    except Problem as problem:
        print(f"lab: {problem}", file=sys.stderr)
        return 1
    print(f"images ready: {', '.join(names)}; built now: {', '.join(built) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
