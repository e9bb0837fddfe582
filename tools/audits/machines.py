"""The audited hosts: booted, given the host layer and the application's units, removed again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lab import hosts, images
from lab.machine import PROJECT, podman
from lab.problem import Problem

NETWORK = "composer-audits"
PREFIX = "10.96.0"
DOMAIN = "lab.test"
RELEASES = ("12", "13")
LABEL = f"composer.audits={PROJECT}"
WORK = PROJECT / ".cache" / "audits"
PLAY = PROJECT / "tools" / "audits" / "provision.yml"
PLAY_SECONDS = 1200
Result = TypeVar("Result")
INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends"


@dataclass(frozen=True)
class Machine:
    """One audited host."""

    release: str

    @property
    def name(self) -> str:
        """Its name in the inventory, and its container's."""
        return f"audits-{self.release}"

    @property
    def address(self) -> str:
        """Where this machine reaches it."""
        return f"{PREFIX}.{self.release}"

    def run(self, command: str, *, seconds: float = 60, input: str | None = None) -> tuple[int, str]:
        """Run a shell command as root on the host; return its status and all that it printed.

        Raises:
            Problem: it took longer than `seconds`.
        """
        words = ["exec", "--interactive", self.name, "timeout", str(int(seconds)), "bash", "-c", command]
        done = podman(*words, timeout=seconds + 15, check=False, input=input)
        return done.returncode, done.stdout + done.stderr

    def output(self, command: str, *, seconds: float = 60) -> str:
        """What a command prints on the host.

        Raises:
            Problem: it failed.
        """
        status, said = self.run(command, seconds=seconds)
        if status != 0:
            raise Problem(
                f"`{command}` failed on {self.name} with status {status}: {said.strip()[-600:]}",
                "An audit needs its answer.",
                "Repeat with `python -m tools.audits --keep` and try it there: "
                f"podman exec {self.name} bash -c '…'",
                "No report was written by this audit.",
            )
        return said.strip()

    def install(self, *packages: str) -> None:
        """Have an auditor's packages on the host; they come from Debian's archive and belong to no role."""
        names = " ".join(packages)
        self.output(
            f"dpkg -s {names} >/dev/null 2>&1 || {{ apt-get update -qq && {INSTALL} {names}; }}", seconds=300
        )

    def version(self, package: str) -> str:
        """The version of an installed package."""
        return self.output(f"dpkg-query --show --showformat='${{Version}}' {package}")


MACHINES = tuple(Machine(release) for release in RELEASES)


def side_by_side(work: Callable[[Machine], Result]) -> list[Result]:
    """Do the same on all hosts at the same time; results in the order of MACHINES."""
    with ThreadPoolExecutor(max_workers=len(MACHINES)) as pool:
        return list(pool.map(work, MACHINES))


@contextmanager
def provisioned(say: Callable[[str], None], keep: bool) -> Iterator[Sequence[Machine]]:
    """Hosts with everything applied, removed afterwards unless `keep` is set.

    Raises:
        Problem: they do not boot, or the play fails.
    """
    try:
        if len(_running()) < len(MACHINES):
            _boot(say)
        say(f"applying {PLAY.relative_to(PROJECT)}")
        _apply()
        yield MACHINES
    finally:
        if not keep:
            hosts.remove(list(hosts.containers(LABEL)))
            # Refused while another checkout's hosts are on it, which is right.
            podman("network", "rm", NETWORK, check=False)


def _running() -> list[str]:
    return [name for name, state in hosts.containers(LABEL).items() if state == "running"]


def _boot(say: Callable[[str], None]) -> None:
    names = [f"debian{machine.release}-baked" for machine in MACHINES]
    images.ensure(names, say=say)
    hosts.remove(list(hosts.containers(LABEL)))
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    hosts.ensure_network(NETWORK, f"{PREFIX}.0/24")
    known = {machine.name: machine.address for machine in MACHINES}
    marker, _, value = LABEL.partition("=")
    say("booting " + " and ".join(known))
    hosts.start(
        [
            hosts.Host(
                container=machine.name,
                hostname=machine.name,
                image=images.reference(image),
                network=NETWORK,
                address=machine.address,
                key=hosts.ensure_key(hosts.KEYS),
                names=known | {f"{name}.{DOMAIN}": address for name, address in known.items()},
                labels={marker: value, "composer.address": machine.address},
            )
            for machine, image in zip(MACHINES, names, strict=True)
        ]
    )


def inventory() -> dict[str, Any]:
    """The hosts as application hosts, so that the host layer opens and reloads what it would on one."""
    members = {
        machine.name: {"ansible_host": machine.address, "host_address": machine.address}
        for machine in MACHINES
    }
    variables = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(hosts.KEYS / "id_ed25519"),
        "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no"
        " -o IdentitiesOnly=yes -o LogLevel=ERROR",
        "tls_authority_dir": str(WORK / "authority"),
        "tls_domain": DOMAIN,
        "firewall_operators": [f"{PREFIX}.1"],
        "composer_public_url": "https://composer.lab.test/mcp",
        "composer_mcp_bundle": str(PROJECT / "dist" / "composer-mcp-latest.tar"),
        "composer_mcp_database_hosts": ["192.0.2.21:5432"],
        "composer_mcp_object_store_endpoint": "https://192.0.2.23:8333",
        "composer_mcp_project_uid": "project",
        "composer_mcp_connector_uid": "connector",
        "openbao_issuer": "https://192.0.2.24:8200",
    }
    # Nobody else is there, but roles name these groups in what they ask for.
    groups: dict[str, Any] = {name: {"hosts": {}} for name in ("edge", "observer")}
    return {"all": {"vars": variables, "children": {"app": {"hosts": members}, **groups}}}


def _apply() -> None:
    listed = WORK / "inventory.yml"
    listed.write_text(yaml.safe_dump(inventory()), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "ansible-playbook"), str(PLAY), "-i", str(listed)]
    environment = {
        **os.environ,
        "ANSIBLE_NOCOLOR": "1",
        # A connection that is kept from earlier hosts with these addresses would lead nowhere.
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(WORK / f"cp-{hosts.generation(LABEL)}"),
    }
    log = WORK / "provision.log"
    with log.open("w", encoding="utf-8") as sink:
        done = subprocess.run(
            command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=sink,
            stderr=subprocess.STDOUT, timeout=PLAY_SECONDS, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise Problem(
            f"the hosts could not be provisioned; {log.relative_to(PROJECT)} ends:\n"
            + "\n".join(log.read_text(encoding="utf-8").splitlines()[-30:]),
            "Only a host that the roles have finished with can be audited.",
            "Mend the cause and run `make audits` again.",
            "No report was written.",
        )
