"""Everything that can be known to go wrong before anything is started."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from lab import config, hosts
from lab.machine import GIB, PROJECT, disk_available, memory_available, podman, run
from lab.problem import Problem

NOTHING = "Nothing was started."
MEMORY_NEEDED = 6 * GIB
DISK_NEEDED = 10 * GIB
STORE = Path("/var/lib/containers")
PROGRAMS = {
    "podman": "runs the lab's hosts",
    "runc": "starts containers for podman",
    "mmdebstrap": "builds the host images",
    "ssh": "is how Ansible reaches the hosts",
    "ssh-keygen": "makes the lab's own ssh key",
    "ip": "shows which addresses this machine already uses",
}
# Programs that podman calls and that are not on the search path.
HELPERS = {"netavark": "/usr/lib/podman/netavark", "aardvark-dns": "/usr/lib/podman/aardvark-dns"}


def check(lab: config.Lab) -> None:
    """Find what would stop `lab up` later.

    Raises:
        Problem: with the remedy.
    """
    programs()
    rights()
    running = hosts.containers(lab.label)
    foreign(lab)
    port(lab, _published(lab) if lab.container("edge1") in running else None)
    subnets(lab)
    memory(memory_available(), already_running=any(state == "running" for state in running.values()))
    for place in (STORE, PROJECT):
        disk(place, disk_available(place), fresh=not running)


def programs(which: Callable[[str], str | None] = shutil.which) -> None:
    """Every program that the lab calls is installed."""
    search = {name: which(name) for name in PROGRAMS}
    missing = [name for name, found in search.items() if found is None]
    missing += [name for name, path in HELPERS.items() if not Path(path).exists() and which(name) is None]
    if missing:
        first = PROGRAMS.get(missing[0], "is needed by podman")
        raise Problem(
            f"not installed: {', '.join(missing)}.",
            f"{missing[0]} {first}.",
            "Run scripts/bootstrap, which installs all of it (it needs root or sudo).",
            NOTHING,
        )


def rights(user: int | None = None) -> None:
    """This user may run containers as root, directly or with sudo."""
    if (os.geteuid() if user is None else user) == 0:
        return
    if (
        shutil.which("sudo") is None
        or run(["sudo", "--non-interactive", "true"], check=False).returncode != 0
    ):
        raise Problem(
            "you are not root, and `sudo` does not work without a password right now.",
            "The lab's hosts have addresses and firewalls of their own; only root may give them such.",
            "Run `sudo --validate` first, or run `make lab` as root.",
            NOTHING,
        )


def foreign(lab: config.Lab) -> None:
    """No container that is not this lab's has one of its names."""
    wanted = {lab.container(host) for host in config.HOSTS} | {lab.standin}
    mine = set(hosts.containers(f"composer.project={PROJECT}"))
    present = set(podman("ps", "--all", "--format", "{{.Names}}").stdout.split())
    taken = sorted(wanted & present - mine)
    if taken:
        raise Problem(
            f"the container {taken[0]} exists and was not made by this checkout ({PROJECT}).",
            "Two labs of the same name cannot stand on one machine.",
            f"Remove that lab with `make lab-down LAB_NAME={lab.name}`, or choose another name:\n"
            "make lab LAB_NAME=second LAB_SUBNET=10.101.0 LAB_PORT=9443",
            NOTHING,
        )


def port(lab: config.Lab, published: int | None) -> None:
    """The front door's port is free, or already ours."""
    if published == lab.port:
        return
    if published is not None:
        raise Problem(
            f"this lab stands already, with its front door at port {published} instead of {lab.port}.",
            "A host's port is decided when the host is made.",
            f"Keep it with `make lab LAB_PORT={published}`, or begin anew with `make lab-down` first.",
            "The lab is as it was; nothing else was started.",
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", lab.port))
        except PermissionError:
            happened = f"port {lab.port} on this machine may not be opened by you."
        except OSError:
            happened = f"port {lab.port} on this machine is taken{_holder(lab.port)}."
        else:
            return
    raise Problem(
        happened,
        "The lab's front door needs it.",
        f"Stop that program, or choose another port:\nmake lab LAB_PORT={lab.port + 1000}",
        NOTHING,
    )


def _published(lab: config.Lab) -> int | None:
    """The port of this machine at which the lab's edge answers now."""
    bindings = podman("inspect", "--format", "{{json .HostConfig.PortBindings}}", lab.container("edge1"))
    found = json.loads(bindings.stdout).get("443/tcp") or []
    return int(found[0]["HostPort"]) if found else None


def _holder(number: int) -> str:
    """The program that listens on a port, as ` by nginx (pid 812)`, or nothing when that cannot be seen."""
    if shutil.which("ss") is None:
        return ""
    shown = run(
        ["ss", "--no-header", "--listening", "--tcp", "--processes", f"sport = :{number}"], check=False
    )
    _, _, users = shown.stdout.partition('users:(("')
    name, _, rest = users.partition('"')
    pid = rest.partition("pid=")[2].partition(",")[0]
    return f" by {name} (pid {pid})" if name and pid else ""


def subnets(lab: config.Lab, routes: str | None = None) -> None:
    """No other network of this machine uses the lab's addresses."""
    if routes is None:
        routes = run(["ip", "-json", "-4", "route", "show"]).stdout
    own = {_interface(lab.network), _interface(lab.internet)}
    for route in json.loads(routes or "[]"):
        target = route.get("dst", "default")
        if target == "default" or route.get("dev") in own:
            continue
        for subnet in (lab.subnet, lab.internet_subnet):
            if ipaddress.ip_network(target).overlaps(ipaddress.ip_network(subnet)):
                raise Problem(
                    f"the addresses {target} are in use on this machine (interface {route.get('dev')}).",
                    f"The lab would use {subnet}.",
                    "Choose other addresses: make lab LAB_SUBNET=10.101.0",
                    NOTHING,
                )


def _interface(network: str) -> str | None:
    found = podman("network", "inspect", "--format", "{{.NetworkInterface}}", network, check=False)
    return found.stdout.strip() or None


def memory(available: int, already_running: bool) -> None:
    """There is enough memory for all hosts."""
    if not already_running and available < MEMORY_NEEDED:
        raise Problem(
            f"{available / GIB:.1f} GiB of memory is available.",
            f"The lab's hosts with their browsers need up to {MEMORY_NEEDED / GIB:.0f} GiB.",
            "Stop other programs, or use a bigger machine.",
            NOTHING,
        )


def disk(place: Path, available: int, fresh: bool) -> None:
    """There is enough disk space for images and hosts."""
    if fresh and available < DISK_NEEDED:
        raise Problem(
            f"{available / GIB:.1f} GiB of disk space is free where {place} is.",
            f"Images, packages and hosts need up to {DISK_NEEDED / GIB:.0f} GiB.",
            "Make room (`podman image prune` removes unused images), or use a bigger disk.",
            NOTHING,
        )
