"""The lab's command line: `python -m lab up|down|status|token|ssh|metrics`."""

from __future__ import annotations

import argparse
import subprocess
import sys

from lab import config
from lab.problem import Problem


def main(arguments: list[str] | None = None) -> int:
    """Run one command; problems are printed in four parts and end with status 1."""
    parser = argparse.ArgumentParser(prog="python -m lab", description="The whole platform on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="build, boot, configure, and make a composition")
    down = commands.add_parser("down", help="remove containers, networks, volumes and the lab's folder")
    down.add_argument("--images", action="store_true", help="remove the host images as well")
    commands.add_parser("status", help="what is up")
    commands.add_parser("token", help="print a user's token for the front door")
    ssh = commands.add_parser("ssh", help="log in to a host, or run a command there")
    ssh.add_argument("host", nargs="?", default="app1", help=f"one of {', '.join(config.HOSTS)}")
    ssh.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="left out: a shell")
    metrics = commands.add_parser("metrics", help="print a host's metrics")
    metrics.add_argument("host", nargs="?", default="app1", choices=list(config.HOSTS))
    chosen = parser.parse_args(arguments)
    try:
        return _run(chosen, config.from_environment())
    except Problem as problem:
        print("lab: " + str(problem).replace("\n", "\n     "), file=sys.stderr)
        return 1


def _run(chosen: argparse.Namespace, lab: config.Lab) -> int:
    # Imported late: `down` and `status` work with Debian's own Python, before anything is installed.
    if chosen.command == "up":
        from lab import up

        return up.up(lab)
    if chosen.command == "token":
        from lab import session

        print(session.token(lab))
        return 0
    if chosen.command == "ssh":
        return _ssh(lab, chosen.host, chosen.words)
    if chosen.command == "metrics":
        from lab import status

        print(status.metrics(lab, chosen.host), end="")
        return 0
    if chosen.command == "status":
        from lab import status

        status.show(lab)
        return 0
    return _down(lab, chosen.images)


def _ssh(lab: config.Lab, host: str, words: list[str]) -> int:
    from lab import hosts, platform

    if host not in config.HOSTS:
        raise Problem(
            f"the lab has no host named {host}.",
            "Each host has a fixed name.",
            f"Choose among {', '.join(config.HOSTS)}: make lab-ssh HOST=app1",
            "No connection was made.",
        )
    if hosts.containers(lab.label).get(lab.container(host)) != "running":
        raise Problem(
            f"{host} is not running.",
            "There is nothing to log in to.",
            "Start the lab with `make lab`.",
            "No connection was made.",
        )
    return subprocess.run(platform.ssh_command(lab, host, words), check=False).returncode


def _down(lab: config.Lab, with_images: bool) -> int:
    from lab import images, platform
    from lab.machine import podman

    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        print(text, flush=True)

    platform.tear_down(lab, say)
    if with_images:
        present = [images.reference(name) for name in images.NAMES if images.exists(name)]
        if present:
            podman("rmi", "--force", *present)
            images.remove_replaced()
            say(f"removed the images {', '.join(present)}")
    print("The lab is gone." if said else "There was no lab.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
