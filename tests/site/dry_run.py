"""What site.yml says in check mode about hosts that nobody has provisioned, and what it leaves there."""

from __future__ import annotations

from dataclasses import dataclass

from site_lab import Site

from lab import config, images, platform, standin

MARK = "/run/before-dry-run"
# What a look itself leaves: apt's lists of what there is, logs, and Ansible's folder of the login.
LEFT = (
    f"find /etc /home /opt /root /srv /usr /var -xdev -newer {MARK} -type f -not -path '/var/lib/apt/*'"
    " -not -path '/var/cache/apt/*' -not -path '/var/log/*' -not -path '/root/.ansible/*'"
)


@dataclass(frozen=True)
class Dry:
    """How the dry run ended, all that it said, and by host the files that are newer than it."""

    code: int
    said: str
    left: dict[str, list[str]]


def on_bare_hosts(site: Site) -> Dry:
    """Boot the lab's hosts, and look what would be done there."""
    lab = site.lab
    lab.out.mkdir(parents=True, exist_ok=True)
    lab.state.chmod(0o700)
    images.ensure([config.IMAGE], print)
    platform.stand_up(lab, print)
    standin.stand_up(lab, print)
    for host in site.hosts:
        host.ask(f"touch {MARK}")
    done = site.play("site.yml", "--check", "--diff")
    left = {host.name: host.ask(LEFT).split() for host in site.hosts}
    return Dry(done.returncode, done.stdout + done.stderr, left)
