"""What an error is: a code with a sentence and a remedy, and the exception that carries its details.

The codes themselves stand beside it, by theme. Nothing here needs a library: the command line starts with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One kind of failure.

    ``sentence`` and ``remedy`` are format strings; their placeholders are filled by :meth:`error`.
    ``retryable`` says whether repeating the same call, unchanged, can succeed.
    """

    code: str
    status: int
    sentence: str
    remedy: str
    retryable: bool = False

    registry: ClassVar[dict[str, ErrorCode]] = {}

    def __post_init__(self) -> None:
        if self.code in self.registry:
            raise ValueError(f"error code {self.code} is declared twice")
        self.registry[self.code] = self

    def error(self, **details: Any) -> ComposerError:
        """Return an exception to raise; ``details`` fill the placeholders and travel with the error."""
        return ComposerError(self, details)


class _Unknown(str):
    """Stands for a detail that nobody gave, whatever format is asked of it."""

    def __format__(self, _specification: str) -> str:
        return str(self)


class _Details(dict[str, Any]):
    """The details of an error; a missing one is named, because an error must never fail while it is told."""

    def __missing__(self, key: str) -> _Unknown:
        return _Unknown(f"({key} unknown)")


class ConfigurationError(Exception):
    """The configuration cannot be used; the message tells the operator what to mend."""


class ComposerError(Exception):
    """A failure with a code from the table, safe to show to the caller."""

    def __init__(self, code: ErrorCode, details: dict[str, Any] | None = None) -> None:
        self.code = code
        self.details = details or {}
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """What happened, with the details filled in."""
        return self.code.sentence.format_map(_Details(self.details))

    @property
    def remedy(self) -> str:
        """What the caller can do about it."""
        return self.code.remedy.format_map(_Details(self.details))

    def as_dict(self) -> dict[str, Any]:
        """The form that is stored with a failed job and sent to the caller (JSON-compatible)."""
        return {
            "code": self.code.code,
            "message": self.sentence,
            "remedy": self.remedy,
            "retryable": self.code.retryable,
            "details": self.details,
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> ComposerError:
        """Rebuild an error that a worker stored; an unknown code becomes ``internal``."""
        code = ErrorCode.registry.get(stored.get("code", "")) or ErrorCode.registry["internal"]
        return cls(code, dict(stored.get("details") or {}))
