"""The state directory: everything that a server running alone keeps, for one process at a time.

Only places, permissions and the lock live here; what a file means is known to who writes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from composer_mcp.settings import ConfigurationError

#: A client that restarts its server may start the new one before the old one has ended.
LOCK_PATIENCE_SECONDS = 3.0
LOCK_POLL_SECONDS = 0.05


class InUse(ConfigurationError):
    """Another process, ``holder``, has the state directory."""

    def __init__(self, path: Path, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"the state directory {path} is in use by {holder}. Several clients can share one server: start "
            "composer-mcp serve once and connect them to it. Or give this server a state_directory of its "
            "own. Nothing was started."
        )


class StateDirectory:
    """A folder that only its owner may enter."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "composer.sqlite3"
        self.issuer = path / "issuer"
        self.credentials = path / "credentials"

    def prepare(self) -> None:
        """Make it, or see that it is ours alone.

        Raises:
            ConfigurationError: it cannot be made or written, or belongs to somebody else.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.path.stat()
        except OSError as error:
            raise ConfigurationError(
                f"the state directory {self.path} cannot be made: {error.strerror}. "
                "Name another one with state_directory in the configuration."
            ) from error
        if found.st_uid != os.geteuid():
            raise ConfigurationError(
                f"the state directory {self.path} belongs to user {found.st_uid}, not to you. "
                "Name another one with state_directory in the configuration."
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            # Tokens can be signed with what lies here.
            self.path.chmod(0o700)
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise ConfigurationError(
                f"the state directory {self.path} cannot be written. Restore its permissions, or name "
                "another one with state_directory in the configuration."
            )

    @contextlib.contextmanager
    def lock(self, patience_seconds: float = LOCK_PATIENCE_SECONDS) -> Iterator[None]:
        """Keep every other process away; the system lets go when this process ends, however it ends.

        Raises:
            InUse: another process has it.
            ConfigurationError: it cannot be used.
        """
        self.prepare()
        # Opened for appending: whoever does not get the lock must not erase who has it.
        with (self.path / "lock").open("a+", encoding="utf-8") as file:
            give_up = time.monotonic() + patience_seconds
            while not _locked(file.fileno()):
                if time.monotonic() > give_up:
                    file.seek(0)
                    raise InUse(self.path, file.read(200).strip() or "another process")
                time.sleep(LOCK_POLL_SECONDS)
            file.truncate(0)
            file.write(f"process {os.getpid()}\n")
            file.flush()
            yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
