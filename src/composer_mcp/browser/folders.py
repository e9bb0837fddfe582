"""The folders of a pool: one that is locked while the pool lives, and in it one for each lease.

A process that was killed leaves its folder behind. The system has let go of its lock, by which the next pool
knows that nobody uses the folder any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

import structlog

PREFIX = "composer-browser-"
LOCK = ".lock"
#: A folder without a lock may be one that is being made at this moment.
YOUNG_SECONDS = 3600

log = structlog.get_logger(__name__)


class Folders:
    """A temporary folder that only this pool uses."""

    def __init__(self, parent: Path | None) -> None:
        sweep(Path(parent or tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = os.open(self.path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def make(self) -> Path:
        """Make a folder for one lease."""
        return Path(tempfile.mkdtemp(prefix="job-", dir=self.path))

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def remove(folder: Path) -> None:
    """Remove the folder of a lease with all that is in it."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> int:
    """Remove the folders of pools that ended without doing so; return how many there were."""
    swept = 0
    for folder in parent.glob(f"{PREFIX}*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
    if swept:
        log.warning("browser.folders_swept", folders=swept, parent=str(parent))
    return swept


def _is_abandoned(folder: Path) -> bool:
    try:
        found = folder.lstat()
        # What others made in a place that everybody may write to is not ours to remove.
        if os.geteuid() not in (0, found.st_uid) or not folder.is_dir() or folder.is_symlink():
            return False
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        with contextlib.suppress(OSError):
            return folder.is_dir() and time.time() - folder.lstat().st_mtime > YOUNG_SECONDS
        return False
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
