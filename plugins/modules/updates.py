#!/usr/bin/python
# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: updates
short_description: Say what an update of a host would replace, and refuse what could not end well
version_added: "0.1.0"
author:
  - The EuConquisto Composer platform contributors (@euconquisto)
description:
  - Everything about a host's packages that has to be known before it is taken out of service, with one call.
  - Waits while another program works with packages. Fails when that takes too long, a file system has too little room,
    or the archive does not have what it announces. No package is replaced.
  - Tells which services still use libraries that were replaced, and why a reboot is due.
options:
  refresh:
    description: Whether the lists of the archive are fetched anew; in check mode into a folder of their own.
    type: bool
    default: false
  download:
    description: Whether the packages are fetched, so that the update itself needs no network. Not in check mode.
    type: bool
    default: false
  lock_seconds:
    description: Seconds to wait while another program works with packages.
    type: int
    default: 300
  free_megabytes:
    description: Megabytes that must be left free on each file system after the update.
    type: int
    default: 500
attributes:
  check_mode:
    description: Tells the same and leaves the lists of the host as they are.
    support: full
  diff_mode:
    description: Changes no package in any mode.
    support: none
requirements:
  - needrestart
seealso:
  - module: ansible.builtin.apt
"""

EXAMPLES = r"""
- name: Look what there is to update
  euconquisto.composer.updates:
    refresh: true
    download: true
  register: __example_updates
"""

RETURN = r"""
upgrades:
  description: Packages that would be replaced or added.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The package., type: str, returned: always}
    old: {description: The installed version; empty when the package is new., type: str, returned: always}
    new: {description: The version of the archive., type: str, returned: always}
kept_back:
  description: Packages with a newer version that an update does not take.
  returned: success
  type: list
  elements: str
interrupted:
  description: Whether an update was interrupted before; what it would replace is not known then.
  returned: success
  type: bool
restart:
  description: Units that use replaced libraries.
  returned: success
  type: list
  elements: str
restart_later:
  description: Units that do too, and only a reboot can replace.
  returned: success
  type: list
  elements: str
reboot:
  description: Why a reboot is due; nothing when it is not.
  returned: success
  type: list
  elements: str
failed_units:
  description: Units that have failed.
  returned: success
  type: list
  elements: str
"""

import contextlib
import fcntl
import os
import shutil
import struct
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.euconquisto.composer.plugins.module_utils.updates import (
    bytes_to_fetch,
    kept_back,
    newer_kernel,
    services,
    told,
    upgrades,
)

LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
)
# struct flock of Linux: type, whence, start, length, process.
FLOCK = "@hhqqi4x"
MOUNTS = ("/", "/usr", "/var", "/var/lib", "/var/cache/apt/archives", "/boot")
# dpkg unpacks the new files beside the old ones; compressed they are about a quarter.
UNPACKED = 4
# A mirror that accepts a connection and says nothing must not hold the run.
PATIENCE = ("-o", "Acquire::http::Timeout=30", "-o", "Acquire::https::Timeout=30", "-o", "Acquire::Retries=2")
OWN_LISTS = "/var/lib/apt/lists"
REBOOT = "/run/reboot-required"
NOTHING = "Nothing was changed on this host."


def holder(path):
    """The process that has the lock, or 0."""
    try:
        with open(path, "rb+") as handle:
            asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _whence, _start, _length, pid = struct.unpack(
                FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, asked)
            )
    except FileNotFoundError:
        return 0
    return pid if kind != fcntl.F_UNLCK else 0


def called(pid):
    """The program and its arguments, as `ps` shows them."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as handle:
            return handle.read().replace(b"\0", b" ").decode(errors="replace").strip()[:120] or "unknown"
    except OSError:
        return "unknown"


def in_use():
    """(lock, process) of whoever works with packages now, or None."""
    return next(((path, pid) for path in LOCKS if (pid := holder(path))), None)


def wait_for_others(module):
    seconds = module.params["lock_seconds"]
    deadline = time.monotonic() + seconds
    while (found := in_use()) is not None:
        if time.monotonic() >= deadline:
            path, pid = found
            module.fail_json(
                msg=f"Another program has been working with packages for {seconds} s: process {pid} ({called(pid)}) "
                f"holds {path}. Two at once would leave packages half-installed. Let it finish (unattended-upgrades: "
                f"`journalctl -u apt-daily-upgrade`), or end it if it hangs, then run this again. {NOTHING}",
                lock=path,
                process=pid,
                program=called(pid),
            )
        time.sleep(1)


def ask(module, *words, check=True):
    """Run a program in English; fail with what it complains about."""
    code, said, complained = module.run_command(list(words), environ_update={"LC_ALL": "C"})
    if check and code != 0:
        module.fail_json(msg=f"`{' '.join(words)}` failed: {complained.strip() or said.strip()}. {NOTHING}")
    return said


@contextlib.contextmanager
def lists(module):
    """Options of apt that say where its lists are.

    A dry run fetches them into a folder of its own: it knows the archive as it is, and changes nothing on the host.
    """
    if not (module.check_mode and module.params["refresh"]):
        yield []
        return
    folder = tempfile.mkdtemp(prefix="updates-", dir="/var/tmp")
    try:
        # apt fetches as an account of its own.
        shutil.copymode(OWN_LISTS, folder)
        os.mkdir(f"{folder}/partial")
        yield [
            "-o",
            f"Dir::State::Lists={folder}",
            "-o",
            "Dir::Cache::pkgcache=",
            "-o",
            "Dir::Cache::srcpkgcache=",
        ]
    finally:
        shutil.rmtree(folder)


def fetch(module, words, happened, remedy):
    """Let apt fetch something from the archive; fail with its complaints between the two sentences."""
    command = ["apt-get", "-q", *PATIENCE, *words]
    code, _said, complained = module.run_command(command, environ_update={"LC_ALL": "C"})
    if code != 0:
        complaints = "; ".join(told(complained)) or complained.strip()
        module.fail_json(msg=f"{happened}: {complaints}. {remedy} {NOTHING}")


def refresh(module, place):
    fetch(
        module,
        [*place, "-o", "APT::Update::Error-Mode=any", "update"],
        "The lists of the package archive cannot be fetched",
        "Without them nobody knows what there is to update. See whether this host reaches the archive (names, proxy, "
        "firewall_host_outgoing), then run this again.",
    )


def demand_room(module, size, count):
    """Fail when a file system has not the room that the update needs there."""
    spare, seen, short = module.params["free_megabytes"] << 20, set(), []
    for path in MOUNTS:
        if not os.path.isdir(path) or os.stat(path).st_dev in seen:
            continue
        seen.add(os.stat(path).st_dev)
        about = os.statvfs(path)
        # /boot is small everywhere, and what it needs is not proportional to the download.
        need = spare // 4 if path == "/boot" else spare + (UNPACKED + 1) * size
        if about.f_bavail * about.f_frsize < need:
            short.append(
                f"{path} has {about.f_bavail * about.f_frsize >> 20} MB free and needs {need >> 20} MB"
            )
    if short:
        module.fail_json(
            msg=f"Too little room: {'; '.join(short)} ({count} packages, {size >> 20} MB to fetch). A disk that fills up in "
            "the middle leaves packages half-installed. Make room (`apt-get clean`, `journalctl --vacuum-size=200M`, `df -h`), "
            f"or ask for less with patch_free_megabytes, then run this again. {NOTHING}",
            short=short,
        )


def download(module):
    fetch(
        module,
        ["--with-new-pkgs", "-y", "--download-only", "upgrade"],
        "The archive does not give what it announces",
        "A mirror that is being renewed has this for minutes. Run this again later, or choose another mirror.",
    )


def reboot_reasons():
    reasons = []
    if os.path.exists(REBOOT):
        names = []
        if os.path.exists(f"{REBOOT}.pkgs"):
            with open(f"{REBOOT}.pkgs", encoding="utf-8") as handle:
                names = sorted(set(handle.read().split()))
        reasons.append(f"asked for by {', '.join(names)}" if names else f"{REBOOT} exists")
    newest = newer_kernel(os.uname().release, os.listdir("/boot") if os.path.isdir("/boot") else [])
    if newest:
        reasons.append(f"the kernel {newest} is installed, {os.uname().release} runs")
    return reasons


def main():
    module = AnsibleModule(
        argument_spec={
            "refresh": {"type": "bool", "default": False},
            "download": {"type": "bool", "default": False},
            "lock_seconds": {"type": "int", "default": 300},
            "free_megabytes": {"type": "int", "default": 500},
        },
        supports_check_mode=True,
    )
    wait_for_others(module)
    with lists(module) as place:
        if module.params["refresh"]:
            refresh(module, place)
        interrupted = bool(ask(module, "dpkg", "--audit").strip())
        apt = ["apt-get", *place, "--with-new-pkgs"]
        simulation = "" if interrupted else ask(module, *apt, "--simulate", "upgrade")
        planned = upgrades(simulation)
        if planned:
            addresses = ask(module, *apt, "-y", "-qq", "--print-uris", "upgrade")
            demand_room(module, bytes_to_fetch(addresses), len(planned))
            if module.params["download"] and not module.check_mode:
                download(module)
    # Before the first run of the role, in a dry run, it may not be there.
    needrestart = module.get_bin_path("needrestart")
    restart, later = services(
        ask(module, needrestart, "-b", "-l", "-r", "l", check=False) if needrestart else ""
    )
    failed = ask(module, "systemctl", "list-units", "--failed", "--plain", "--no-legend", check=False)
    module.exit_json(
        changed=False,
        upgrades=planned,
        kept_back=kept_back(simulation),
        interrupted=interrupted,
        restart=restart,
        restart_later=later,
        reboot=reboot_reasons(),
        failed_units=[line.split()[0] for line in failed.splitlines() if line.strip()],
    )


if __name__ == "__main__":
    main()
