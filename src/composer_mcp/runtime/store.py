"""The port to the table of changed settings; PostgreSQL and SQLite implement it with the same promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

#: On which a change is announced where the store can announce.
CHANNEL = "composer_setting"


@dataclass(frozen=True, slots=True)
class Override:
    """The newest change of one setting; ``value`` is ``None`` when it was unset, which is remembered too."""

    key: str
    value: Any
    version: int
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class Stored:
    """All changes so far, by key; ``version`` grows with each and is 0 before the first."""

    version: int
    overrides: Mapping[str, Override]

    @property
    def values(self) -> dict[str, Any]:
        """What is set now, by key."""
        return {key: each.value for key, each in self.overrides.items() if each.value is not None}


class RuntimeStore(Protocol):
    """Keeps what was changed."""

    async def version(self) -> int:
        """Return the number of the newest change; cheap, because every process asks each second.

        Raises:
            store_unavailable: it cannot be known now.
        """

    async def read(self) -> Stored:
        """Return everything, as it was at one moment.

        Raises:
            store_unavailable.
        """

    async def change(self, values: Mapping[str, Any], *, expected: int, actor: str) -> Stored:
        """Set, or where the value is ``None`` unset, all of ``values`` or none, and return everything.

        ``expected`` is the version that the change was made for.

        Raises:
            settings_changed: somebody has changed something meanwhile; nothing was changed.
            store_unavailable: it may or may not be changed.
        """
