"""The port to the register of compositions: which tenant's each is, and how it is found again.

Composer itself keeps one account's compositions in one heap and cannot search them. The register knows what
went through this server. ``postgres_compositions`` and ``sqlite_compositions`` implement it.
"""

from __future__ import annotations

import asyncio
import hashlib
import unicodedata
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class CompositionEntry:
    """What the register knows of one composition; texts as they were when it was last read or written."""

    uid: str
    title: str
    description: str
    author: str
    tags: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


class CompositionRegistry(Protocol):
    """Compositions by tenant. Every method may raise ``store_unavailable``."""

    async def record(
        self,
        tenant: str,
        uid: str,
        *,
        title: str,
        description: str,
        author: str,
        tags: Sequence[str],
        version: str,
    ) -> None:
        """Note a composition that was created or seen; one that is another tenant's stays as it is.

        ``version`` tells its whole content from any other. Only if that or a text differs from what is known,
        it counts as changed: then it moves to the top of the list, and that is announced.
        """

    async def owner(self, uid: str) -> str | None:
        """Return the tenant whose composition this is, or ``None`` if nobody's."""

    async def find(self, tenant: str, short_id: str) -> str | None:
        """Return the uid of the tenant's composition with this :func:`short_id`, or ``None``."""

    async def search(
        self,
        tenant: str,
        *,
        text: str = "",
        tag: str | None = None,
        limit: int = 20,
        before: datetime | None = None,
    ) -> list[CompositionEntry]:
        """Return a tenant's compositions, last changed first.

        Every word of ``text`` must occur in title, description, author or tags; ``tag`` must be one of its
        tags. Case and accents are ignored. ``before`` goes on where an earlier answer ended: the
        ``updated_at`` of its last entry. At most 100 are returned.
        """

    def exclusively(self, uid: str, job_id: UUID, owner: UUID) -> AbstractAsyncContextManager[None]:
        """Let one job at a time change a composition, in whichever process and on whichever host.

        Composer cannot compare and save in one step; two jobs of ours that have read the same version
        would otherwise both find it unchanged. A job that is taken over gets in again; ``owner`` is the
        attempt's own, and one that has lost its job neither gets in nor lets go for the next.

        Raises:
            composition_busy: another change is under way and did not end in time.
        """

    def changes(self, tenant: str) -> AsyncIterator[None]:
        """Yield once whenever the tenant's list has changed, in whichever process; never ends by itself."""


#: How long a change waits for another one of the same composition: longer than any that ends well.
BUSY_SECONDS = 30.0
#: Longest text that is kept for the search; what is beyond it is not found.
FOLDED_LIMIT = 4000
SEARCH_LIMIT = 100
KEY_BYTES = 32
SHORT_CHARACTERS = 16


def fold(text: str) -> str:
    """Return the form in which texts are compared: no accents, no case, single spaces."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(char for char in decomposed if not unicodedata.combining(char)).split())


def key_of(uid: str) -> bytes:
    """Return the key of a composition: a uid is about 505 characters, too long to be one."""
    return hashlib.sha256(uid.encode()).digest()


class Changes:
    """Who of this process waits for changes of a tenant's compositions; told by either register."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    async def of(self, tenant: str) -> AsyncIterator[None]:
        """Yield whenever something of the tenant's changed; changes that come together count as one."""
        changed = asyncio.Event()
        self._waiting.setdefault(tenant, set()).add(changed)
        try:
            while True:
                await changed.wait()
                changed.clear()
                yield None
        finally:
            waiting = self._waiting[tenant]
            waiting.discard(changed)
            if not waiting:
                del self._waiting[tenant]

    def tell(self, tenant: str) -> None:
        """Wake all who wait for this tenant's."""
        for changed in self._waiting.get(tenant, ()):
            changed.set()

    def tell_all(self) -> None:
        """Wake everybody: what was announced while nobody could listen is lost, so all look again."""
        for tenant in self._waiting:
            self.tell(tenant)


def short_id(uid: str) -> str:
    """Return 16 characters by which a tenant's composition is known: a uid costs a model 330 tokens."""
    return key_of(uid).hex()[:SHORT_CHARACTERS]


def keys_between(short: str) -> tuple[bytes, bytes]:
    """Return the first and the last key of a :func:`short_id`."""
    begin = bytes.fromhex(short)
    rest = KEY_BYTES - len(begin)
    return begin + b"\0" * rest, begin + b"\xff" * rest


def folded_text(title: str, description: str, author: str, tags: Sequence[str]) -> str:
    """Return the text in which words are looked for."""
    return fold("\n".join([title, author, *tags, description]))[:FOLDED_LIMIT]


def folded_tags(tags: Sequence[str]) -> list[str]:
    """Return the tags as they are compared."""
    return [fold(tag) for tag in tags]
