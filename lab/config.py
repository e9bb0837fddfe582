"""Which lab: its names, addresses, ports and folders. A second lab (LAB_NAME=ci) stands beside the first."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.machine import PROJECT
from lab.problem import Problem

HOSTS = {"edge1": 10, "app1": 11, "app2": 12, "core1": 20}
DOMAIN = "lab.test"
FRONT_DOOR = f"composer.{DOMAIN}"
STANDIN_NAMES = ("composer.euconquisto.test", "api.digitalpages.test")
IMAGE = "debian13"
# The first three numbers of the lab's addresses; the third party's network is the next one.
DEFAULT_SUBNET, OTHER_SUBNET = "10.91.0", "10.94.0"
DEFAULT_PORT, OTHER_PORT = 8443, 8444


@dataclass(frozen=True)
class Lab:
    """One lab on this machine."""

    name: str
    prefix: str
    port: int

    @property
    def state(self) -> Path:
        """The lab's folder in the checkout: keys, authority, secrets, output. Never committed."""
        return PROJECT / (".lab" if self.name == "lab" else f".lab-{self.name}")

    @property
    def out(self) -> Path:
        """Where pictures, logs and timings are put."""
        return self.state / "out"

    @property
    def network(self) -> str:
        """The platform's network."""
        return "composer-lab" if self.name == "lab" else f"composer-{self.name}"

    @property
    def internet(self) -> str:
        """The network on which the stand-in for Composer lives."""
        return f"{self.network}-internet"

    @property
    def subnet(self) -> str:
        """The platform's addresses."""
        return f"{self.prefix}.0/24"

    @property
    def internet_subnet(self) -> str:
        """The third party's addresses."""
        return f"{self._next_prefix}.0/24"

    @property
    def standin_address(self) -> str:
        """Where the stand-in answers."""
        return f"{self._next_prefix}.10"

    @property
    def _next_prefix(self) -> str:
        return f"10.{int(self.prefix.split('.')[1]) + 1}.0"

    @property
    def standin(self) -> str:
        """The stand-in's container."""
        return f"{self.name}-composer"

    @property
    def label(self) -> str:
        """Marks the lab's containers."""
        return f"composer.lab={self.name}"

    @property
    def url(self) -> str:
        """The front door, as a user of this machine reaches it."""
        return f"https://localhost:{self.port}/mcp"

    @property
    def arguments(self) -> str:
        """What must follow `make lab-…` to mean this lab; empty for the first one with its usual values."""
        usual = from_environment({"LAB_NAME": self.name})
        words = {
            "LAB_NAME": "" if self.name == "lab" else self.name,
            "LAB_SUBNET": "" if self.prefix == usual.prefix else self.prefix,
            "LAB_PORT": "" if self.port == usual.port else str(self.port),
        }
        return "".join(f" {name}={value}" for name, value in words.items() if value)

    @property
    def authority(self) -> Path:
        """The certificate of the lab's private authority."""
        return self.state / "authority" / "authority.crt"

    def address(self, host: str) -> str:
        """A host's address."""
        return f"{self.prefix}.{HOSTS[host]}"

    def container(self, host: str) -> str:
        """A host's container."""
        return f"{self.name}-{host}"

    def names(self) -> dict[str, str]:
        """What every lab host can resolve: the other hosts, the front door, and the third party."""
        known = {name: self.standin_address for name in STANDIN_NAMES}
        for host in HOSTS:
            known |= {host: self.address(host), f"{host}.{DOMAIN}": self.address(host)}
        return known | {FRONT_DOOR: self.address("edge1")}

    def environment(self) -> dict[str, str]:
        """What inventories/lab reads to find this lab."""
        return {
            "LAB_NAME": self.name,
            "LAB_SUBNET": self.prefix,
            "LAB_PORT": str(self.port),
            "LAB_STATE": str(self.state),
        }


def from_environment(environment: Mapping[str, str] = os.environ) -> Lab:
    """Read LAB_NAME, LAB_SUBNET and LAB_PORT.

    Raises:
        Problem: a value that cannot be used.
    """
    name = environment.get("LAB_NAME") or "lab"
    if not re.fullmatch(r"[a-z][a-z0-9]{0,11}", name):
        raise _unusable("LAB_NAME", name, "at most 12 lower-case letters and digits, a letter first")
    first = name == "lab"
    prefix = environment.get("LAB_SUBNET") or (DEFAULT_SUBNET if first else OTHER_SUBNET)
    found = re.fullmatch(r"10\.([0-9]{1,3})\.0", prefix)
    if not found or int(found[1]) > 254:
        raise _unusable(
            "LAB_SUBNET", prefix, "the form 10.N.0 with N from 0 to 254 (10.N+1.0 is taken as well)"
        )
    port = environment.get("LAB_PORT") or str(DEFAULT_PORT if first else OTHER_PORT)
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise _unusable("LAB_PORT", port, "a port number from 1 to 65535")
    return Lab(name=name, prefix=prefix, port=int(port))


def _unusable(name: str, value: str, expected: str) -> Problem:
    return Problem(
        f"{name} is `{value}`.",
        "It decides the names, addresses and ports of the lab.",
        f"Set it to {expected}, or leave it out.",
        "Nothing was started.",
    )
