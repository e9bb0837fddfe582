"""What the bench of the hosts works with: Debian machines as containers, and plays that are timed on them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.peers_at_hand import PeerMissing, python_of
from lab import hosts, images
from lab.machine import PROJECT

IMAGE = "debian13-baked"
NETWORK, PREFIX = "composer-bench", "10.97.0"
FIRST_ADDRESS = 10
PLAY_SECONDS = 1800
SSH = (
    "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o IdentitiesOnly=yes -o LogLevel=ERROR "
    "-o ControlMaster=auto -o ControlPersist=60s"
)
SPOKEN = re.compile(r"^<([^>]+)> SSH: EXEC ", re.MULTILINE)
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
#: The peer's roles and their settings for a container: no audit daemon, as in its own tests, no parameters of
#: the whole kernel, which a container may not set.
PEER_ROLES = ("devsec.hardening.os_hardening", "devsec.hardening.ssh_hardening")
PEER_SETTINGS = {
    "os_auditd_enabled": False,
    "sftp_enabled": False,
    # Its default would lock the bench out before the second run; ours lets root in with a key.
    "ssh_permit_root_login": "prohibit-password",
    # Its default names one more, which a host of the image does not have.
    "ssh_host_key_files": ["/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ed25519_key"],
    "sysctl_unsupported_entries": (
        "{{ sysctl_config | combine(sysctl_custom_config | default({})) | reject('match', 'net[.]') | list }}"
    ),
}


class PlayFailed(Exception):
    """A play ended with an error; the text is the end of its output."""


@dataclass(frozen=True, slots=True)
class Played:
    """How a play went: its time, and per host how many tasks ran and how many changed something."""

    seconds: float
    ran: Mapping[str, int]
    changed: Mapping[str, int]
    #: How often each host was spoken to by ssh; counted only at Ansible's verbosity 3.
    commands: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Way:
    """Somebody's way to harden a host: an interpreter with Ansible, its collections, and the play."""

    name: str
    python: str
    play: Sequence[Mapping[str, Any]]
    environment: Mapping[str, str] = field(default_factory=dict)


def ours() -> Way:
    """Return our role, as a playbook of ours would call it."""
    play = {"hosts": "all", "gather_facts": False, "roles": ["euconquisto.composer.hardening"]}
    return Way("composer-mcp", sys.executable, [{"name": "Harden", **play}])


def peer(say: Callable[[str], None]) -> Way:
    """Return dev-sec's roles from the checkout that the environment variable ``PEER`` names.

    Raises:
        PeerMissing: there is none, or what it needs cannot be installed.
    """
    checkout = Path(os.environ.get("PEER") or "/nonexistent").expanduser().resolve()
    if not (checkout / "roles/os_hardening").is_dir():
        raise PeerMissing(
            "No checkout of dev-sec's collection was given (PEER=path): its recorded figures are shown."
        )
    python = python_of("devsec", say)
    collections = python.parent.parent / "collections"
    place = collections / "ansible_collections/devsec/hardening"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(checkout)
    play = {"hosts": "all", "gather_facts": True, "vars": PEER_SETTINGS, "roles": list(PEER_ROLES)}
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_INJECT_FACT_VARS": "true"}
    return Way("devsec.hardening", str(python), [{"name": "Harden", **play}], environment)


def peer_version() -> str:
    """Return the version of the peer's checkout."""
    galaxy = Path(os.environ["PEER"]).expanduser() / "galaxy.yml"
    return str(yaml.safe_load(galaxy.read_text(encoding="utf-8"))["version"])


@contextlib.contextmanager
def machines(count: int, say: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Boot so many fresh machines; their names and addresses. They are removed at the end."""
    images.ensure([IMAGE], say=say)
    mark = hashlib.sha256(str(PROJECT).encode()).hexdigest()[:4]
    label = f"composer.bench={PROJECT}"
    key = hosts.ensure_key(hosts.KEYS)
    hosts.remove(list(hosts.containers(label)))
    hosts.ensure_network(NETWORK, f"{PREFIX}.0/24")
    found = {f"bench{number}": f"{PREFIX}.{FIRST_ADDRESS + number}" for number in range(1, count + 1)}
    try:
        hosts.start(
            [
                hosts.Host(
                    container=f"{name}-{mark}",
                    hostname=name,
                    image=images.reference(IMAGE),
                    network=NETWORK,
                    address=address,
                    key=key,
                    labels={"composer.bench": str(PROJECT)},
                )
                for name, address in found.items()
            ]
        )
        yield found
    finally:
        hosts.remove(list(hosts.containers(label)))


def play(way: Way, addresses: Mapping[str, str], forks: int = 8, tags: str = "") -> Played:
    """Run a way's play on hosts by name and address.

    Raises:
        PlayFailed: it failed, or took longer than PLAY_SECONDS.
    """
    with tempfile.TemporaryDirectory(prefix="cb-") as name:
        folder = Path(name)
        entries = {
            host: {"ansible_host": address, "ansible_user": "root"} for host, address in addresses.items()
        }
        common = {
            "ansible_ssh_private_key_file": str(hosts.KEYS / "id_ed25519"),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        inventory = folder / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": entries, "vars": common}}), encoding="utf-8")
        (folder / "play.yml").write_text(yaml.safe_dump(list(way.play)), encoding="utf-8")
        program = Path(way.python).with_name("ansible-playbook")
        command = [str(program), "-i", str(inventory), str(folder / "play.yml"), "--forks", str(forks)]
        command += ["--tags", tags] if tags else []
        return play_with(
            command, {"ANSIBLE_SSH_CONTROL_PATH_DIR": name, "ANSIBLE_SSH_ARGS": SSH, **way.environment}
        )


def play_with(command: Sequence[str], environment: Mapping[str, str]) -> Played:
    """Run ansible-playbook in this checkout.

    Raises:
        PlayFailed: it failed, or took longer than PLAY_SECONDS.
    """
    began = time.monotonic()
    words = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", **environment}
    try:
        done = subprocess.run(
            command, cwd=PROJECT, env=words, capture_output=True, text=True, timeout=PLAY_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PlayFailed(f"it took longer than {PLAY_SECONDS} s") from error
    if done.returncode != 0:
        raise PlayFailed("\n".join((done.stdout + done.stderr).splitlines()[-40:]))
    recap = RECAP.findall(done.stdout)
    return Played(
        time.monotonic() - began,
        {host: int(ok) for host, ok, *_ in recap},
        {host: int(changed) for host, _, changed, *_ in recap},
        Counter(SPOKEN.findall(done.stdout)),
    )
