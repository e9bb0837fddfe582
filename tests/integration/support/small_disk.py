"""A disk of a few megabytes, which can be filled to the last byte. Needs the right to mount."""

from __future__ import annotations

import contextlib
import errno
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A file system in memory at ``path``."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        self._ballast = path / "ballast"
        path.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True, timeout=20
        )

    def fill(self) -> None:
        """Leave nothing free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1_000_000, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def remove(self) -> None:
        # Lazily: whoever still has a file open there is on the way out.
        subprocess.run(["umount", "--lazy", str(self.path)], check=True, timeout=20)


@contextlib.contextmanager
def disk_for_tables(megabytes: int) -> Iterator[SmallDisk]:
    """Provide a disk with a folder ``data``, where the database's user can come."""
    with tempfile.TemporaryDirectory(prefix="composer-test-disk-") as name:
        outside = Path(name)
        outside.chmod(0o755)
        disk = SmallDisk(outside / "disk", megabytes)
        try:
            (disk.path / "data").mkdir()
            yield disk
        finally:
            disk.remove()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk", 20)
    yield disk
    disk.remove()
