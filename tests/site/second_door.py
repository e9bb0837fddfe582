"""A second front door joins the platform, and a balancer passes callers on to both."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from site_lab import Site

from lab import config, hosts, images
from lab.machine import PROJECT, podman

NAME, NUMBER = "edge2", 13
BALANCER_NUMBER = 14
IMAGE = "debian13-baked"
#: The lines that operators are shown, between these two.
PAGE, FIRST, LAST = PROJECT / "docs/front-doors.md", "    defaults\n", "        server edge2 192.0.2.12:443\n"


@dataclass(frozen=True)
class TwoDoors:
    """Where callers reach the balancer, its address among the hosts, and the inventory with both doors."""

    url: str
    balancer: str
    inventory: Path


@contextmanager
def standing(site: Site) -> Iterator[TwoDoors]:
    """Both stand for a while."""
    lab = site.lab
    second, balancer = (f"{lab.prefix}.{number}" for number in (NUMBER, BALANCER_NUMBER))
    port = lab.port + 10
    folder = lab.state / "second-door"
    inventory = _write_inventory(folder, second, balancer, lab.port, port)
    containers = [lab.container(NAME), lab.container("balancer")]
    hosts.remove(containers)
    known = lab.state / "ssh" / "known_hosts"
    former = known.read_text(encoding="utf-8")
    try:
        _boot(site, second)
        public = podman("exec", containers[0], "cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout.split()
        known.write_text(f"{former}{second} {public[0]} {public[1]}\n", encoding="utf-8")
        done = site.play("site.yml", "-i", str(inventory))
        assert done.returncode == 0, done.stdout[-5000:]
        settings = folder / "balancer.cfg"
        settings.write_text(_as_documented(lab.address("edge1"), second), encoding="utf-8")
        _balance(site, balancer, port, settings)
        yield TwoDoors(f"https://localhost:{port}/mcp", balancer, inventory)
    finally:
        hosts.remove(containers)
        known.write_text(former, encoding="utf-8")


def _write_inventory(folder: Path, second: str, balancer: str, *ports: int) -> Path:
    """The second host and what both need, beside inventories/lab; JSON is YAML."""
    door = {"hosts": {NAME: {"host_address": second}}}
    # The balancer's port belongs to the name by which callers reach it here.
    names = [config.FRONT_DOOR, *(f"localhost:{port}" for port in ports)]
    texts = {
        "edge2.yml": {"all": {"children": {"edge": door}}},
        "group_vars/edge.yml": {"haproxy_balancers": [balancer], "haproxy_leave_seconds": 5},
        "group_vars/app.yml": {"composer_mcp_allowed_hosts": names},
    }
    (folder / "group_vars").mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(json.dumps(text), encoding="utf-8")
    return folder / "edge2.yml"


def _as_documented(first: str, second: str) -> str:
    """The page's configuration of a balancer, with this lab's names and addresses."""
    page = PAGE.read_text(encoding="utf-8")
    text = page[page.index(FIRST) : page.index(LAST) + len(LAST)]
    ours = {
        "composer.example.org": config.FRONT_DOOR,
        "192.0.2.11": first,
        "192.0.2.12": second,
        "/etc/ssl/certs/ca-certificates.crt": "/authority.crt",
    }
    for theirs, own in ours.items():
        assert theirs in text, f"{PAGE.name} does not mention {theirs}"
        text = text.replace(theirs, own)
    return textwrap.dedent(text)


def _labels(site: Site) -> dict[str, str]:
    label, _, name = site.lab.label.partition("=")
    return {label: name, "composer.project": str(PROJECT)}


def _boot(site: Site, address: str) -> None:
    lab = site.lab
    second = hosts.Host(
        container=lab.container(NAME),
        hostname=NAME,
        image=images.reference(IMAGE),
        network=lab.network,
        address=address,
        key=lab.state / "ssh" / "id_ed25519",
        names=lab.names(),
        labels=_labels(site),
    )
    hosts.start([second])


def _balance(site: Site, address: str, port: int, settings: Path) -> None:
    lab = site.lab
    labels = [word for name, value in _labels(site).items() for word in ("--label", f"{name}={value}")]
    podman(
        "run", "--detach", "--name", lab.container("balancer"), "--hostname", "balancer",
        "--network", lab.network, "--ip", address, "--mac-address", hosts.hardware_address(address),
        "--publish", f"127.0.0.1:{port}:443", *labels,
        "-v", f"{settings}:/balancer.cfg:ro", "-v", f"{lab.authority}:/authority.crt:ro",
        images.reference(IMAGE), "haproxy", "-W", "-db", "-f", "/balancer.cfg",
    )  # fmt: skip
