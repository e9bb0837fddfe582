"""What of the lab is up, and a host's metrics. Standard library only: works before anything is installed."""

from __future__ import annotations

import http.client
import ssl

from lab import config, hosts, images, platform
from lab.problem import Problem

ANSWER_SECONDS = 5


def show(lab: config.Lab) -> None:
    """Print hosts, stand-in, front door and images."""
    states = hosts.containers(lab.label)
    memory = platform.memory(lab)
    wanted = [(host, lab.container(host), lab.address(host)) for host in config.HOSTS]
    wanted.append(("Composer", lab.standin, lab.standin_address))
    for name, container, address in wanted:
        state = states.get(container, "absent")
        held = f"{memory[container] / 2**20:5.0f} MiB" if container in memory else ""
        print(f"  {name:<10} {state:<9} {address:<13} {held}")
    answer = front_door(lab) if states else "absent"
    print(f"  {'front door':<10} {answer:<9} {lab.url}")
    for image in images.NAMES:
        print(f"  image {images.reference(image)}: {_image_state(image)}")
    if not states:
        print("The lab is not up; `make lab` starts it.")


def _image_state(name: str) -> str:
    if not images.exists(name):
        return "not built"
    return "current" if images.is_current(name) else "outdated (rebuilt when it is needed next)"


def front_door(lab: config.Lab) -> str:
    """`ready`, or why not in a few words."""
    try:
        context = ssl.create_default_context(cafile=str(lab.authority))
        door = http.client.HTTPSConnection("localhost", lab.port, timeout=ANSWER_SECONDS, context=context)
        door.request("GET", "/health/ready")
        status = door.getresponse().status
        door.close()
    except (OSError, http.client.HTTPException) as cause:
        return f"no answer ({cause})"
    return "ready" if status == 200 else f"status {status}"


def metrics(lab: config.Lab, host: str) -> str:
    """What the host's exporter tells, asked from the lab's observer with its client certificate."""
    folder = "/etc/ssl/composer"
    files = f"--cacert {folder}/authority.crt --cert {folder}/host.crt --key {folder}/host.key"
    url = f"https://{host}.{config.DOMAIN}:9100/metrics"
    return remote(lab, "core1", f"curl --silent --show-error --fail --max-time 10 {files} {url}")


def remote(lab: config.Lab, host: str, command: str) -> str:
    """Run a command on a lab host over ssh and return what it printed."""
    from lab.machine import run

    done = run(platform.ssh_command(lab, host, [command]), check=False, timeout=30)
    if done.returncode != 0:
        raise Problem(
            f"{host} answered: {done.stderr.strip() or f'status {done.returncode}'}",
            "The command was run there over ssh.",
            "See what is up with `make lab-status`.",
            "Nothing was changed.",
        )
    return done.stdout
