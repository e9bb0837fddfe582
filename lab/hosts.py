"""Debian machines as containers: networks, start, boot, removal. Knows nothing of what runs on them."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lab.machine import CACHE, inspect, podman, run
from lab.problem import Problem

INIT = Path(__file__).resolve().parent / "resources" / "lab-init"
BOOT_SECONDS = 60
# SYS_ADMIN: the mounts of lab-init and systemd's own sandboxing. NET_*: nftables. Others: kept by units.
CAPABILITIES = (
    "SYS_ADMIN,NET_ADMIN,NET_RAW,AUDIT_CONTROL,AUDIT_READ,SYS_PTRACE,SYSLOG,IPC_LOCK,SYS_NICE,DAC_READ_SEARCH"
)


@dataclass(frozen=True)
class Host:
    """One machine to boot."""

    container: str
    hostname: str
    image: str
    network: str
    address: str
    key: Path
    names: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    boot: bool = True
    command: Sequence[str] = ("/sbin/lab-init",)


def hardware_address(address: str) -> str:
    """The network card's address that always belongs to this IP address.

    A new container on an old address would otherwise be unreachable until the controller's ARP entry expires.
    """
    return "02:00:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)


def ensure_key(folder: Path) -> Path:
    """Create the folder's ssh key when it is missing; return the private key's path."""
    key = folder / "id_ed25519"
    if not key.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", key])
    return key


def ensure_network(name: str, subnet: str) -> bool:
    """Create a network when it is missing; return whether it was created.

    Raises:
        Problem: a network of that name exists with another subnet.
    """
    found = podman("network", "inspect", name, check=False)
    if found.returncode == 0:
        subnets = [item["subnet"] for item in json.loads(found.stdout)[0].get("subnets", [])]
        if subnet not in subnets:
            raise Problem(
                f"the container network {name} exists with {', '.join(subnets)} instead of {subnet}.",
                "The lab's addresses belong to that subnet.",
                f"Remove it with `podman network rm {name}` if nothing else uses it.",
                "Nothing was changed.",
            )
        return False
    podman("network", "create", "--subnet", subnet, name)
    return True


def start(hosts: Sequence[Host]) -> None:
    """Start the hosts at the same time and wait until each has booted.

    Raises:
        Problem: a host did not boot within BOOT_SECONDS or its systemd has no control group of its own.
    """
    with ThreadPoolExecutor(max_workers=max(len(hosts), 1)) as pool:
        list(pool.map(_start, hosts))


def _start(host: Host) -> None:
    flags = [
        word for name, address in sorted(host.names.items()) for word in ("--add-host", f"{name}:{address}")
    ]
    flags += [word for name, value in sorted(host.labels.items()) for word in ("--label", f"{name}={value}")]
    podman(
        "run", "--detach", "--name", host.container, "--hostname", host.hostname,
        "--network", host.network, "--ip", host.address, "--mac-address", hardware_address(host.address),
        # A reboot from inside starts it anew, as it does a machine; podman's own stop and kill leave it down.
        "--restart=always",
        "--systemd=always", "--cgroupns=private", f"--cap-add={CAPABILITIES}", "--shm-size=512m",
        # Where AppArmor is active podman's profile forbids every mount, which systemd's sandboxing needs.
        "--security-opt", "apparmor=unconfined",
        "-v", f"{INIT}:/sbin/lab-init:ro", "-v", f"{host.key}.pub:/etc/lab-operator.pub:ro",
        *flags, *host.options, host.image, *host.command,
    )  # fmt: skip
    if host.boot:
        wait_until_booted(host.container)


def wait_until_booted(container: str) -> None:
    """Wait until systemd of a container has finished starting.

    Raises:
        Problem: it did not within BOOT_SECONDS, or units failed.
    """
    deadline = time.monotonic() + BOOT_SECONDS
    state = ""
    while time.monotonic() < deadline:
        answer = podman("exec", container, "systemctl", "is-system-running", "--wait", check=False)
        state = answer.stdout.strip()
        if state in ("running", "degraded"):
            break
        time.sleep(0.1)
    if state != "running":
        failed = podman(
            "exec", container, "systemctl", "--failed", "--no-legend", "--plain", check=False
        ).stdout
        raise Problem(
            f"the host {container} should have booted, but is `{state or 'not reachable'}`.",
            f"Failed units: {' | '.join(failed.split(chr(10))).strip(' |') or 'none listed'}.",
            f"Look at its journal: podman exec {container} journalctl -b -p warning",
            "The host is left as it is for inspection; `make lab-down` removes it.",
        )
    _assert_own_cgroup(container)


def _assert_own_cgroup(container: str) -> None:
    """On cgroup v1 a host that shares the machine's systemd tree disturbs every other one: say so at once."""
    if inspect().cgroup_v2:
        return
    pid = podman("inspect", "--format", "{{.State.Pid}}", container).stdout.strip()
    lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines()
    tree = next((line for line in lines if "name=systemd:" in line), "")
    if "libpod-" not in tree:
        raise Problem(
            f"the systemd of {container} is in `{tree}` instead of a control group of its own.",
            "Hosts would share units and break each other when one restarts.",
            "Check that lab/resources/lab-init ran completely: podman logs " + container,
            "The host is running; `make lab-down` removes it.",
        )


def remove(containers: Sequence[str]) -> None:
    """Remove containers with their volumes; those that do not exist are no error."""
    if containers:
        podman("rm", "--force", "--ignore", "--volumes", "--time", "0", *containers)


def containers(label: str) -> dict[str, str]:
    """The containers with a label `name=value`: name -> state."""
    listed = podman("ps", "--all", "--filter", f"label={label}", "--format", "json").stdout
    return {item["Names"][0]: item["State"] for item in json.loads(listed or "[]")}


def generation(label: str) -> str:
    """A short word that is another one as soon as any container with the label was made anew."""
    ids = sorted(podman("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}").stdout.split())
    return hashlib.sha256(" ".join(ids).encode()).hexdigest()[:8]


def used_addresses(network: str) -> set[str]:
    """The addresses that containers on the network hold now, stopped ones included."""
    ids = podman("ps", "--all", "--quiet", "--filter", f"network={network}").stdout.split()
    if not ids:
        return set()
    found: set[str] = set()
    for item in json.loads(podman("inspect", *ids).stdout):
        settings = item["NetworkSettings"]["Networks"].get(network, {})
        found.update(value for value in (settings.get("IPAddress"), _static_address(item)) if value)
    return found


def _static_address(item: dict[str, object]) -> str | None:
    config = item.get("Config")
    labels = config.get("Labels") if isinstance(config, dict) else None
    return labels.get("composer.address") if isinstance(labels, dict) else None


KEYS = CACHE / "ssh"
