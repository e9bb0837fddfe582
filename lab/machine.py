"""What this machine is and how commands are run on it. Nothing here changes the machine."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.problem import Problem

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".cache" / "lab"
GIB = 1024**3
CAP_SYS_RESOURCE = 24


@dataclass(frozen=True)
class Machine:
    """The facts that decide how containers are run here."""

    systemd: bool
    cgroup_v2: bool
    may_raise_limits: bool
    files_limit: int
    processes_limit: int

    @property
    def kind(self) -> str:
        """A few words for the operator."""
        first = "systemd" if self.systemd else "no systemd"
        return f"{first}, cgroup v{2 if self.cgroup_v2 else 1}"


def inspect() -> Machine:
    """Read the facts from /proc and /sys."""
    return Machine(
        systemd=Path("/run/systemd/system").is_dir(),
        cgroup_v2=Path("/sys/fs/cgroup/cgroup.controllers").exists(),
        may_raise_limits=_bounding_set() >> CAP_SYS_RESOURCE & 1 == 1,
        files_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        # podman lowers its own limit to pid_max before it starts anything.
        processes_limit=min(
            resource.getrlimit(resource.RLIMIT_NPROC)[1],
            int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii")),
        ),
    )


def _bounding_set() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapBnd:"):
            return int(line.split()[1], 16)
    return 0


def containers_conf(machine: Machine) -> str:
    """Podman's configuration for this machine, as the text of a containers.conf."""
    lines = [
        "# Written by the lab for this machine; the system's own file is left alone.",
        "[containers]",
        # A host knows the names that it is told, not those of this machine.
        'base_hosts_file = "none"',
    ]
    if not machine.may_raise_limits:
        # podman asks for more open files and processes than this machine allows to anyone here.
        limits = {"nofile": machine.files_limit, "nproc": machine.processes_limit}
        words = ", ".join(f'"{name}={value}:{value}"' for name, value in limits.items())
        lines.append(f"default_ulimits = [{words}]")
    lines += ["[engine]", 'runtime = "runc"']
    if not machine.systemd:
        lines += ['cgroup_manager = "cgroupfs"', 'events_logger = "file"']
    lines += ["[network]", 'network_backend = "netavark"', ""]
    return "\n".join(lines)


def write_containers_conf() -> Path:
    """Write containers.conf for this machine (only when it differs) and return its path."""
    path = CACHE / "containers.conf"
    text = containers_conf(inspect())
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path


def as_root(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> list[str]:
    """Return the command as it must be started to run with root's rights and this environment."""
    words = [str(word) for word in command]
    if env:
        words = ["env", *(f"{name}={value}" for name, value in env.items()), *words]
    return words if os.geteuid() == 0 else ["sudo", "--non-interactive", *words]


def run(
    command: Sequence[str | Path],
    *,
    root: bool = False,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    timeout: float = 120,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it printed.

    Raises:
        Problem: the command is missing, took longer than `timeout` seconds, or failed while `check` is set.
    """
    words = as_root(command, env) if root else [str(word) for word in command]
    shown = " ".join(str(word) for word in command[:3])
    own = None if root or env is None else {**os.environ, **env}
    try:
        done = subprocess.run(
            words, env=own, input=input, capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise Problem(
            f"the program {words[0]} is not installed.",
            "The lab needs it to run its containers.",
            "Run scripts/bootstrap, which installs it.",
            "Nothing was changed by this step.",
        ) from None
    except subprocess.TimeoutExpired:
        raise Problem(
            f"`{shown} …` did not finish within {timeout:.0f} s.",
            "The machine is overloaded or the command waits for something that will not come.",
            "Look at the load (`uptime`), then run the same command again.",
            "What was built before stays; `make lab` continues, `make lab-down` cleans.",
        ) from None
    if check and done.returncode != 0:
        raise Problem(
            f"`{shown} …` failed with status {done.returncode}: {_last_lines(done.stderr or done.stdout)}",
            "The lab cannot go on without it.",
            f"Try it by hand: {' '.join(words)}",
            "What was built before stays; `make lab` continues, `make lab-down` cleans.",
        )
    return done


def podman(
    *arguments: str | Path, timeout: float = 120, check: bool = True, input: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run podman with the lab's own configuration."""
    env = {"CONTAINERS_CONF": str(write_containers_conf())}
    return run(["podman", *arguments], root=True, env=env, timeout=timeout, check=check, input=input)


def memory_available() -> int:
    """Bytes that can be given to new programs without swapping."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def disk_available(path: Path) -> int:
    """Bytes free on the file system that holds `path` or its nearest existing parent."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def _last_lines(text: str, count: int = 4) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-count:])
