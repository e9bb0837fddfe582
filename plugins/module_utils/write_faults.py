# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Says for an operator why a file could not be written on this host, and what to do. Changes nothing."""

from __future__ import annotations

import errno
import os

AGAIN = "then run this again."


def explain(path, error):
    """What was wrong with `path` and the remedy; what state the host is in is for the caller to say."""
    mount = mount_point(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{path} cannot be written: the file system on {mount} is full ({room(mount)}). "
            f"Make room there (`df -h {mount}`, `df -i {mount}`; often `apt-get clean` and "
            f"`journalctl --vacuum-size=200M` help), {AGAIN}"
        )
    if error.errno == errno.EROFS:
        return (
            f"{path} cannot be written: the file system on {mount} is read-only. "
            f"The kernel makes it so when a disk has errors (`journalctl -k`, `findmnt {mount}`). "
            f"Mend it and mount it writable, {AGAIN}"
        )
    return (
        f"{path} cannot be changed: {error.strerror or error}. See what is in the way "
        f"(`ls -ld {path}`, `lsattr -d {path}`, `findmnt --target {path}`), {AGAIN}"
    )


def mount_point(path):
    """Where the file system is mounted that a path, which may not exist yet, belongs to."""
    place = os.path.realpath(os.path.dirname(path) or "/")
    while not os.path.ismount(place):
        place = os.path.dirname(place)
    return place


def room(mount):
    """What is left there, in kilobytes and, where the file system counts them, in files."""
    about = os.statvfs(mount)
    left = f"{about.f_bavail * about.f_frsize >> 10} kB"
    return f"{left} and {about.f_favail} files left" if about.f_files else f"{left} left"
