"""Secrets: one file each, as systemd hands them to a service."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from composer_mcp.observability import logs
from composer_mcp.settings.explain import ConfigurationError

PUT_IT_THERE = (
    "Put it there with: mkdir -p -m 700 {path.parent} && install -m 600 /dev/stdin {path} "
    "(paste it, Enter, Ctrl-D), or name another folder with --credentials."
)


class Credentials:
    """Secrets, one file each, in the folder that systemd (or ``--credentials``) names."""

    def __init__(self, directory: Path | None, remedy: str = "Put the file there.") -> None:
        self.directory = directory
        self._remedy = remedy

    @classmethod
    def find(cls, directory: Path | None, default: Path | None = None) -> Credentials:
        """Use ``directory``, or the one systemd announces, or ``default``, which is the user's own."""
        announced = os.environ.get("CREDENTIALS_DIRECTORY")
        if directory is None and announced:
            return cls(Path(announced), "Add LoadCredential={name}:… to the unit.")
        return cls(default, PUT_IT_THERE) if directory is None else cls(directory)

    def path(self, name: str) -> Path:
        """Where a secret's file is.

        Raises:
            ConfigurationError: there is no such file.
        """
        if self.directory is None:
            raise ConfigurationError(
                f"the secret {name} is needed, but no credentials folder is known. "
                "Start the service through systemd, or pass --credentials FOLDER."
            )
        path = self.directory / name
        if not path.is_file():
            remedy = self._remedy.format(name=name, path=path)
            raise ConfigurationError(f"the secret {name} is missing in {self.directory}. {remedy}")
        return path

    def read(self, name: str) -> SecretStr:
        """Read a secret; a trailing line break does not belong to it.

        Raises:
            ConfigurationError: it is missing, unreadable or empty.
        """
        path = self.path(name)
        try:
            value = path.read_text().rstrip("\r\n")
        except OSError as error:
            raise ConfigurationError(f"the secret {path} cannot be read: {error.strerror}.") from error
        if not value:
            raise ConfigurationError(
                f"the secret {path} is empty; the process that writes it did not finish."
            )
        logs.hide(value)
        return SecretStr(value)
