"""What a page showed when a job failed: all of it for operators, what can hold no secret for the caller."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

#: So many of each kind of error are told to the caller.
TOLD = 5
#: Whoever is told these may own neither the account nor the other compositions in it: what looks like a key,
#: an identifier or an encoded text is left out, wherever it comes from.
OPAQUE = re.compile(r"[\w+/=.~%-]{24,}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Texts without known secrets; ``picture`` is a JPEG of the window."""

    final_url: str
    console_errors: list[str] = field(default_factory=list)
    network_errors: list[str] = field(default_factory=list)
    trouble: str | None = None
    picture: bytes | None = None

    def in_full(self) -> dict[str, Any]:
        """For those who may see everything; the picture goes its own way."""
        return {
            "final_url": self.final_url,
            "console_errors": self.console_errors,
            "network_errors": self.network_errors,
            "trouble": self.trouble,
        }

    def for_the_caller(self) -> dict[str, Any]:
        """For whoever called: neither the picture, which may show others' work, nor anything opaque."""
        return {
            "console_errors": [without_opaque(text) for text in self.console_errors[:TOLD]],
            "network_errors": [without_opaque(text) for text in self.network_errors[:TOLD]],
            "trouble": self.trouble,
        }


@dataclass(slots=True)
class Findings:
    """Where a page that failed leaves its evidence for the end of the job; the last one counts."""

    last: Evidence | None = None


def without_opaque(text: str) -> str:
    """Return a text without its long words; host names stay."""
    return OPAQUE.sub(lambda found: found[0] if _is_host(found[0]) else "…", text)


def _is_host(word: str) -> bool:
    labels = word.strip("/").split(".")
    return len(labels) > 1 and all(label.isalpha() and len(label) < 24 for label in labels)
