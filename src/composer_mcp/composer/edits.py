"""The changes of a composition that we can make exactly once: each can tell whether it was made already."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from composer_mcp.composition import changes, copies
from composer_mcp.composition.document import Document, version_of
from composer_mcp.composition.lesson import CompositionChange


class Edit(Protocol):
    """A change that can be recognized once it is made."""

    def apply(self, base: Document) -> Document:
        """Return a changed copy; raises what the change finds wrong with the composition."""

    def is_applied(self, base: Document) -> bool:
        """Whether ``base`` has this change."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a caller wants changed; ids of new widgets are derived from ``seed``."""

    change: CompositionChange
    seed: uuid.UUID
    media: str

    def apply(self, base: Document) -> Document:
        """See :class:`Edit`. Raises widget_not_found, no_heading, composition_full, ambiguous_moves."""
        return changes.changed(base, self.change, self.seed, self.media)

    def is_applied(self, base: Document) -> bool:
        """See :class:`Edit`."""
        return changes.is_applied(base, self.change, self.seed)


@dataclass(frozen=True, slots=True)
class Insertion:
    """Widgets that are put in; their ids are derived from ``seed``."""

    structure: Sequence[dict[str, Any]]
    seed: uuid.UUID
    position: int | None = None

    def apply(self, base: Document) -> Document:
        """See :class:`Edit`. Raises composition_full."""
        return copies.inserted(base, self.structure, self.seed, self.position)

    def is_applied(self, base: Document) -> bool:
        """See :class:`Edit`."""
        return copies.is_inserted(base, len(self.structure), self.seed)


@dataclass(frozen=True, slots=True)
class Restoration:
    """An earlier version that becomes the present one."""

    version: Document

    def apply(self, base: Document) -> Document:
        """See :class:`Edit`; whatever it was, it becomes the earlier version."""
        return self.version

    def is_applied(self, base: Document) -> bool:
        """See :class:`Edit`."""
        return version_of(base) == version_of(self.version)
