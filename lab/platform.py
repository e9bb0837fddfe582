"""The lab's hosts: made when missing, started when stopped, left alone when running."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    # All of them, also those that run: an earlier `up` may have been interrupted while they booted.
    with ThreadPoolExecutor(max_workers=len(config.HOSTS)) as pool:
        list(pool.map(hosts.wait_until_booted, [lab.container(host) for host in config.HOSTS]))
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
    known, text = lab.state / "ssh" / "known_hosts", "".join(lines)
    if not known.exists() or known.read_text(encoding="utf-8") != text:
        known.write_text(text, encoding="utf-8")


def ssh_command(lab: config.Lab, host: str, command: list[str]) -> list[str]:
    """The ssh command that logs in to a host."""
    folder = lab.state / "ssh"
    return [
        "ssh", "-i", str(folder / "id_ed25519"), "-o", f"UserKnownHostsFile={folder / 'known_hosts'}",
        "-o", "StrictHostKeyChecking=yes", f"root@{lab.address(host)}", *command,
    ]  # fmt: skip


# What a host's control group holds, without file cache that the kernel gives back when it is needed.
WORKING_SET = """
cd /sys/fs/cgroup
if [ -d memory ]; then
    used=$(cat memory/memory.usage_in_bytes) stat=memory/memory.stat key=total_inactive_file
elif [ -e memory.current ]; then
    used=$(cat memory.current) stat=memory.stat key=inactive_file
else
    exit 0
fi
echo $((used - $(awk -v key=$key '$1 == key {print $2}' $stat)))
"""


def memory(lab: config.Lab) -> dict[str, int]:
    """Bytes that each running container of the lab needs, by name; empty where the kernel does not count."""
    running = [name for name, state in hosts.containers(lab.label).items() if state == "running"]
    told = {name: podman("exec", "--user", "root", name, "sh", "-c", WORKING_SET).stdout for name in running}
    return {name: int(used) for name, used in told.items() if used.strip()}


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
