"""The third party's machine: Composer as the lab's hosts see it, in a container and a network of its own.

It has its own authority and certificate, and nothing of ours: no key, no address list, no folder but its own.
"""

from __future__ import annotations

import ipaddress
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lab import certificates, config, hosts, images
from lab.machine import CACHE, PROJECT, podman, run
from lab.problem import Problem

TESTS = PROJECT / "tests"
LIBRARIES = ("starlette", "uvicorn", "python-multipart", "pyjwt")
PYTHON_VERSION = "3.13"  # of the hosts' Debian
START_SECONDS = 30
NOBODY = "65534:65534"


def stand_up(lab: config.Lab, say: Callable[[str], None]) -> None:
    """Start the stand-in when it is not running, and wait until it answers.

    Raises:
        Problem: it did not answer within START_SECONDS.
    """
    state = hosts.containers(lab.label).get(lab.standin)
    if state == "running":
        return
    if state in ("exited", "stopped"):
        podman("start", lab.standin)
    else:
        hosts.remove([lab.standin])
        _start(lab, _own_folder(lab), _libraries())
    _wait(lab)
    say(f"started as {lab.standin}: {', '.join(config.STANDIN_NAMES)}")


def control_socket(lab: config.Lab) -> Path:
    """The stand-in's switch for latency and failures; only root of this machine reaches it."""
    return lab.state / "standin" / "state" / "control.sock"


def _own_folder(lab: config.Lab) -> Path:
    """What only the third party has (keys, documents), and beside it what it gave to us (`.lab/composer`)."""
    own, given = lab.state / "standin", lab.state / "composer"
    if not (given / "token").exists():
        given.mkdir(parents=True, exist_ok=True, mode=0o700)
        (own / "state").mkdir(parents=True, exist_ok=True, mode=0o700)
        issued = certificates.issue(
            "Composer stand-in", list(config.STANDIN_NAMES), [ipaddress.IPv4Address(lab.standin_address)]
        )
        _write(own / "tls.key", issued.key)
        _write(own / "tls.crt", issued.certificate)
        project_key = secrets.token_hex(16)
        _write(own / "state" / "project-key", project_key)
        _write(given / "project-key", project_key)
        _write(given / "authority.crt", issued.authority)
        signing_key = own / "state" / "signing-key"
        token = run(
            [sys.executable, "-m", "composer_standin", "token", "--key-file", signing_key],
            env={"PYTHONPATH": str(TESTS)},
        )
        # Written last: its presence says that the account is complete.
        _write(given / "token", token.stdout.strip())
    return own


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _libraries() -> Path:
    """What the stand-in imports, for the container's Python, at the versions of the server's lock."""
    target = CACHE / f"standin-{PYTHON_VERSION}"
    lock = PROJECT / "requirements" / "server.txt"
    stamp = target / ".complete"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        run(["rm", "-rf", target])
        run(
            [Path(sys.executable).parent / "uv", "pip", "install", "--system-certs", "--quiet",
             "--target", target, "--python-version", PYTHON_VERSION,
             "--only-binary", ":all:", "--constraints", lock, *LIBRARIES],
            timeout=300,
        )  # fmt: skip
        stamp.touch()
    return target


def _start(lab: config.Lab, own: Path, libraries: Path) -> None:
    # The process inside is nobody; only it may read the key.
    run(["chown", "-R", NOBODY, own], root=True)
    label, _, name = lab.label.partition("=")
    podman(
        "run", "--detach", "--name", lab.standin, "--hostname", "composer",
        "--network", lab.internet, "--ip", lab.standin_address,
        "--mac-address", hosts.hardware_address(lab.standin_address),
        "--label", f"{label}={name}", "--label", f"composer.project={PROJECT}",
        "--user", NOBODY, "--cap-drop", "all", "--sysctl", "net.ipv4.ip_unprivileged_port_start=0",
        "--read-only", "--stop-signal", "SIGTERM",
        "-v", f"{own}:/own", "-v", f"{TESTS}:/code:ro", "-v", f"{libraries}:/libraries:ro",
        "-e", "PYTHONPATH=/code:/libraries", "-e", "PYTHONDONTWRITEBYTECODE=1",
        images.reference(config.IMAGE), "python3", "-m", "composer_standin",
        "--host", lab.standin_address, "--port", "443", "--state-dir", "/own/state",
        "--certificate", "/own/tls.crt", "--key", "/own/tls.key",
    )  # fmt: skip


def _wait(lab: config.Lab) -> None:
    """Wait until the stand-in accepts a TLS connection with its certificate."""
    authority = lab.state / "composer" / "authority.crt"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if certificates.answers(lab.standin_address, 443, config.STANDIN_NAMES[0], authority):
            return
        time.sleep(0.2)
    said = podman("logs", "--tail", "15", lab.standin, check=False)
    raise Problem(
        f"the stand-in for Composer does not answer at {lab.standin_address}:443. It said:\n"
        + (said.stdout + said.stderr).strip(),
        "Without it no composition can be made.",
        f"Look at it: podman logs {lab.standin}",
        "The hosts are up; `make lab` tries again, `make lab-down` cleans.",
    )
