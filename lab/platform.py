"""The lab's hosts: made when missing, started when stopped, left alone when running."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from lab import config, hosts, images
from lab.machine import PROJECT, podman, run

Say = Callable[[str], None]


def stand_up(lab: config.Lab, say: Say) -> list[str]:
    """Bring every host up; return the names of those that were newly made."""
    key = hosts.ensure_key(lab.state / "ssh")
    hosts.ensure_network(lab.network, lab.subnet)
    hosts.ensure_network(lab.internet, lab.internet_subnet)
    states = hosts.containers(lab.label)
    made, started = [], []
    for host in config.HOSTS:
        state = states.get(lab.container(host))
        if state in ("running", "exited", "stopped"):
            if state != "running":
                podman("start", lab.container(host))
                started.append(host)
        else:
            made.append(host)
    if made:
        images.fill_package_cache(config.IMAGE, say)
    # A container in any other state was left half-made by an interruption.
    hosts.remove([lab.container(host) for host in made if lab.container(host) in states])
    hosts.start([_host(lab, host, key) for host in made])
    for host in started:
        hosts.wait_until_booted(lab.container(host))
    if made or started:
        _write_known_hosts(lab)
    for verb, names in (("booted", made), ("started again", started)):
        if names:
            say(f"{verb}: {', '.join(names)}")
    return made


def _host(lab: config.Lab, host: str, key: Path) -> hosts.Host:
    options = ["-v", f"{images.debs(config.IMAGE)}:/var/cache/apt/archives:O"]
    if host == "edge1":
        options += ["--publish", f"127.0.0.1:{lab.port}:443"]
    label, _, name = lab.label.partition("=")
    return hosts.Host(
        container=lab.container(host),
        hostname=host,
        image=images.reference(config.IMAGE),
        network=lab.network,
        address=lab.address(host),
        key=key,
        names=lab.names(),
        labels={label: name, "composer.project": str(PROJECT)},
        options=options,
    )


def _write_known_hosts(lab: config.Lab) -> None:
    """Record the hosts' ssh keys as the hosts themselves tell them, so that every login is verified."""
    lines = []
    for host in config.HOSTS:
        public = podman(
            "exec", lab.container(host), "cat", "/etc/ssh/ssh_host_ed25519_key.pub"
        ).stdout.split()
        lines.append(f"{lab.address(host)},{host} {public[0]} {public[1]}\n")
    (lab.state / "ssh" / "known_hosts").write_text("".join(lines), encoding="utf-8")


def ssh_command(lab: config.Lab, host: str, command: list[str]) -> list[str]:
    """The ssh command that logs in to a host."""
    folder = lab.state / "ssh"
    return [
        "ssh", "-i", str(folder / "id_ed25519"), "-o", f"UserKnownHostsFile={folder / 'known_hosts'}",
        "-o", "StrictHostKeyChecking=yes", f"root@{lab.address(host)}", *command,
    ]  # fmt: skip


def memory(lab: config.Lab) -> dict[str, int]:
    """Bytes that each running container of the lab holds, file cache included."""
    running = [name for name, state in hosts.containers(lab.label).items() if state == "running"]
    if not running:
        return {}
    shown = podman("stats", "--no-stream", "--no-reset", "--format", "json", *running).stdout
    return {item["name"]: _bytes(item["mem_usage"].split("/")[0].strip()) for item in json.loads(shown)}


def _bytes(text: str) -> int:
    units = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "B": 1}
    for unit, factor in units.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    return 0


def tear_down(lab: config.Lab, say: Say) -> bool:
    """Remove the lab's containers, volumes, networks and folder; return whether there was anything."""
    present = hosts.containers(lab.label)
    hosts.remove(list(present))
    for network in (lab.network, lab.internet):
        if podman("network", "inspect", network, check=False).returncode == 0:
            podman("network", "rm", network)
            say(f"removed the network {network}")
    volumes = podman("volume", "ls", "--quiet", "--filter", f"label={lab.label}").stdout.split()
    if volumes:
        podman("volume", "rm", *volumes)
    if present:
        say(f"removed: {', '.join(sorted(present))}")
    had_state = lab.state.exists()
    if had_state:
        run(["rm", "-rf", lab.state], root=True)
        say(f"removed {lab.state.name}/ (keys, authority, secrets, pictures)")
    return bool(present) or had_state
