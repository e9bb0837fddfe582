"""Create and destroy for Molecule: one command instead of a play, because a scenario should cost seconds.

Called by molecule/resources/{create,destroy}.yml as `python -m lab.molecule create|destroy`; Molecule hands
over the scenario in environment variables and reads the addresses from the file that `create` writes.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lab import hosts, images
from lab.machine import PROJECT
from lab.problem import Problem

NETWORK = "composer-molecule"
SUBNET = "10.93.0.0/24"
FIRST_ADDRESS = 10
DOMAIN = "lab.test"
# One lock for all checkouts, to take addresses and to give them back: they share the network.
LOCK = Path.home() / ".cache" / "composer-molecule.lock"


class Scenario:
    """What Molecule says about the scenario that is running."""

    def __init__(self) -> None:
        self.name = os.environ["MOLECULE_SCENARIO_NAME"]
        self.folder = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
        self.instance_file = Path(os.environ["MOLECULE_INSTANCE_CONFIG"])
        config: dict[str, Any] = yaml.safe_load(Path(os.environ["MOLECULE_FILE"]).read_text(encoding="utf-8"))
        self.platforms: list[dict[str, Any]] = config["platforms"]

    @property
    def label(self) -> str:
        """Marks this scenario's containers, apart from the same scenario of another checkout."""
        return f"composer.scenario={PROJECT}:{self.name}"

    def container(self, platform: str) -> str:
        """The container's name of one platform."""
        return f"mol-{platform}-{hashlib.sha256(str(PROJECT).encode()).hexdigest()[:4]}"


def create(scenario: Scenario) -> None:
    """Boot every platform of the scenario and tell Molecule where it is reached."""
    images.ensure([_image(platform) for platform in scenario.platforms], say=_say)
    key = hosts.ensure_key(hosts.KEYS)
    _remove(scenario)
    with _address_lock():
        hosts.ensure_network(NETWORK, SUBNET)
        free = _free_addresses()
        addresses = {platform["name"]: next(free) for platform in scenario.platforms}
        names: dict[str, str] = {}
        for name, address in addresses.items():
            names |= {name: address, f"{name}.{DOMAIN}": address}
        machines = [_host(scenario, platform, addresses, names, key) for platform in scenario.platforms]
        # The addresses are taken once the containers exist; booting needs no lock.
        hosts.start([hosts.Host(**{**vars(machine), "boot": False}) for machine in machines])
    for machine in machines:
        hosts.wait_until_booted(machine.container)
    instances = [
        {"instance": name, "address": address, "user": "root", "port": 22, "identity_file": str(key)}
        for name, address in addresses.items()
    ]
    scenario.instance_file.write_text(yaml.safe_dump(instances), encoding="utf-8")


def destroy(scenario: Scenario) -> None:
    """Remove the scenario's containers and what Molecule knew of them."""
    _remove(scenario)
    scenario.instance_file.write_text("[]\n", encoding="utf-8")


def _remove(scenario: Scenario) -> None:
    """Nobody looks for free addresses meanwhile, among hosts that are about to vanish."""
    with _address_lock():
        hosts.remove(list(hosts.containers(scenario.label)))
    _forget_connections(scenario)


def _image(platform: dict[str, Any]) -> str:
    return str(platform.get("image", "debian13-baked"))


def _host(
    scenario: Scenario, platform: dict[str, Any], addresses: dict[str, str], names: dict[str, str], key: Path
) -> hosts.Host:
    name = platform["name"]
    marker, _, value = scenario.label.partition("=")
    extra = {str(host): str(address) for host, address in platform.get("names", {}).items()}
    image = _image(platform)
    options = [str(word) for word in platform.get("options", [])]
    if not image.endswith("-baked") and images.debs(image).is_dir():
        options += ["-v", f"{images.debs(image)}:/var/cache/apt/archives:O"]
    return hosts.Host(
        container=scenario.container(name),
        hostname=name.replace("_", "-"),
        image=images.reference(image),
        network=NETWORK,
        address=addresses[name],
        key=key,
        names=names | extra,
        labels={marker: value, "composer.address": addresses[name]},
        options=options,
    )


def _free_addresses() -> Iterator[str]:
    used = hosts.used_addresses(NETWORK)
    for address in list(ipaddress.ip_network(SUBNET).hosts())[FIRST_ADDRESS - 1 :]:
        if str(address) not in used:
            yield str(address)
    raise Problem(
        f"no address of {SUBNET} is free any more.",
        "Every Molecule instance needs one.",
        "Remove old instances: `molecule destroy --all`.",
        "Nothing was started.",
    )


def _forget_connections(scenario: Scenario) -> None:
    """A kept ssh connection to a host that is gone would make the next one with its address unreachable."""
    shutil.rmtree(scenario.folder / "cp", ignore_errors=True)
    (scenario.folder / "cp").mkdir(parents=True)


@contextmanager
def _address_lock() -> Iterator[None]:
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Run the action named on the command line."""
    action = {"create": create, "destroy": destroy}[sys.argv[1]]
    try:
        action(Scenario())
    except Problem as problem:
        print(f"lab: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
