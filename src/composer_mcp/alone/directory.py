"""The state directory: everything that a server running alone keeps, for one process at a time.

Only places, permissions and the lock live here; what a file means is known to who writes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from composer_mcp.settings import ConfigurationError

#: A client that restarts its server may start the new one before the old one has ended.
LOCK_PATIENCE_SECONDS = 3.0
LOCK_POLL_SECONDS = 0.05
SCRATCH = "composer-mcp-"


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

    def state_key(self) -> str:
        """Return the key that seals what clients carry between the rounds of one call; made when first asked.

        Raises:
            ConfigurationError: it cannot be read or made.
        """
        return self._key("state-key")

    def audit_key(self) -> str:
        """Return the key with which the audit trail is chained; made when first asked.

        Raises:
            ConfigurationError: it cannot be read or made.
        """
        return self._key("audit-key")

    def _key(self, name: str) -> str:
        self.prepare()
        path = self.path / name
        try:
            if not path.exists():
                write_whole(path, secrets.token_urlsafe(48).encode(), replace=False)
            return path.read_text()
        except OSError as error:
            raise ConfigurationError(
                f"the key {path} cannot be read or made: {error.strerror}. Restore its permissions."
            ) from error

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a temporary folder; what a process that was killed left of its own is removed first.

        It lies where the system keeps temporary files and not here, because Chromium makes sockets below it,
        whose whole paths may have 107 bytes. Only whoever has the lock may call this.
        """
        note = self.path / "scratch"
        if note.exists():
            left = Path(note.read_text().strip())
            # Whatever the note says, nothing but a folder as we make them is removed.
            if left.name.startswith(SCRATCH) and left.parent == Path(tempfile.gettempdir()):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH))
        try:
            note.write_text(f"{folder}\n")
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            note.unlink(missing_ok=True)

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


def write_whole(path: Path, content: bytes, *, replace: bool) -> None:
    """Write a whole file or none, readable by its owner only; without ``replace`` the first one stays."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            # Two processes may make the key at the same time; both go on with that of the faster one.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
