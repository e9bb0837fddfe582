# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Reads what apt, dpkg and needrestart say. Changes nothing and asks no host."""

from __future__ import annotations

import re

INSTALL = re.compile(r"^Inst (\S+)(?: \[([^\]]+)\])? \((\S+)", re.MULTILINE)
ADDRESS = re.compile(r"^'([^']+)' \S+ (\d+)(?: |$)", re.MULTILINE)
KEPT_BACK = re.compile(r"^The following packages have been kept back:\n((?:  .*\n)+)", re.MULTILINE)
SERVICE = re.compile(r"^NEEDRESTART-SVC: (\S+)$", re.MULTILINE)
ERROR = re.compile(r"^[EW]: (.+)$", re.MULTILINE)
# needrestart names them, and a restart would throw people or the host's own bus out: the next reboot does it.
ONLY_BY_REBOOT = re.compile(
    r"^(dbus|systemd-logind|user@\d+|getty@|serial-getty@|session-|unattended-upgrades|apt-daily)"
)


def upgrades(simulation):
    """The packages of `apt-get --simulate upgrade`; the old version of a new package is empty."""
    return [{"name": name, "old": old or "", "new": new} for name, old, new in INSTALL.findall(simulation)]


def kept_back(simulation):
    """Packages that apt does not replace, because another would have to go or somebody holds them."""
    return [name for block in KEPT_BACK.findall(simulation) for name in block.split()]


def bytes_to_fetch(addresses):
    """The sum over the lines of `apt-get --print-uris`."""
    return sum(int(size) for address, size in ADDRESS.findall(addresses))


def told(output):
    """What apt complains about, each once, in its own words."""
    return list(dict.fromkeys(ERROR.findall(output)))


def services(batch):
    """The units of `needrestart -b`: those to restart, and those that wait for a reboot."""
    found = list(dict.fromkeys(SERVICE.findall(batch)))
    later = [unit for unit in found if ONLY_BY_REBOOT.match(unit)]
    return [unit for unit in found if unit not in later], later


def order(version):
    """A key by which releases of the kernel sort as Debian counts them."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", version)]


def newer_kernel(running, images):
    """The newest installed kernel if it is not the running one; `images` are names like vmlinuz-6.12.1-amd64.

    A host whose own kernel is not among them, such as a container, has its kernel from elsewhere.
    """
    versions = [name[len("vmlinuz-") :] for name in images if name.startswith("vmlinuz-")]
    if running not in versions:
        return ""
    newest = max(versions, key=order)
    return "" if newest == running else newest
