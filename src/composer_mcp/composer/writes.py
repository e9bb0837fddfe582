"""Writing exactly once, although Composer knows no idempotency key.

Every widget id of a document that we compose is derived from the tenant and the idempotency key. Whoever
is unsure whether an earlier try was saved therefore looks for a composition with these ids before writing.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from composer_mcp.composer import facts
from composer_mcp.composer.api import ComposerApi, Fence
from composer_mcp.composer.edits import Edit
from composer_mcp.composer.meaning import (
    NOTHING_CHANGED,
    NOTHING_SAVED,
    RETRY_AFTER,
    Described,
    WriteFailed,
    aware,
    unavailable,
)
from composer_mcp.composer.patience import Patience
from composer_mcp.composition.compose import is_made_from
from composer_mcp.composition.document import Document, version_of
from composer_mcp.errors import COMPOSER_UNAVAILABLE, COMPOSITION_NOT_FOUND, VERSION_CONFLICT, ComposerError

log = structlog.get_logger(__name__)

NAMESPACE = uuid.UUID("6f0a9c1e-54a8-4d53-9f0a-0d1c5e1b7c11")
#: So many versions of somebody else are looked into after a save; more than one is rare enough.
OTHERS_READ = 5
UNKNOWN_IF_SAVED = "It is not known whether the composition was saved."


def seed_of(tenant: str, idempotency_key: str) -> uuid.UUID:
    """Return the seed for the ids of whatever one idempotent call writes."""
    return uuid.uuid5(NAMESPACE, f"{len(tenant)}:{tenant}:{idempotency_key}")


async def create_once(
    api: ComposerApi,
    document: Document,
    seed: uuid.UUID,
    *,
    earlier_attempt: bool,
    since: datetime,
    fence: Fence,
) -> str:
    """Store a new composition unless a try since ``since`` has done so; return its uid.

    Raises:
        composer_unavailable: it says whether something was saved.
        composer_refused, composer_rejected_token, composer_changed, and what ``fence`` raises.
    """
    patience = Patience(api.settings, api.retries)
    traces = Traces(api, seed, since)
    if earlier_attempt and (uid := await traces.find()) is not None:
        return uid
    while True:
        patience.begin()
        try:
            return (await api.create(document, fence)).uid
        except WriteFailed as failure:
            log.warning("composer.write_failed", reason=failure.reason, uncertain=failure.uncertain)
            reason, uncertain = failure.reason, failure.uncertain
        if uncertain and (uid := await traces.find()) is not None:
            return uid
        if not await patience.pause():
            raise unavailable(reason, patience.tries, NOTHING_SAVED)


async def moments(api: ComposerApi) -> AsyncIterator[None]:
    """Yield at once, and then again and again while a write of unknown outcome may still appear."""
    deadline = time.monotonic() + api.settings.settle_seconds
    yield
    while time.monotonic() < deadline:
        await asyncio.sleep(api.settings.settle_poll_seconds)
        yield


def _unknown(error: ComposerError, state: str) -> ComposerError:
    """Say of a failure to find out that the outcome of the write is still unknown."""
    details = error.details
    return unavailable(
        details.get("reason", error.code.code),
        details.get("tries", 1),
        state,
        details.get("retry_after", RETRY_AFTER),
    )


class Traces:
    """Looks for what an earlier try may have stored."""

    def __init__(self, api: ComposerApi, seed: uuid.UUID, since: datetime) -> None:
        self._api = api
        self._seed = seed
        self._since = since - facts.CLOCK_SKEW
        self._others: set[str] = set()

    async def find(self) -> str | None:
        """Return the uid of a composition made with our seed, or nothing once it had time to appear.

        Raises:
            composer_unavailable: it could not be found out, so nothing may be written.
        """
        uid = None
        try:
            async for _ in moments(self._api):
                uid = await self._look()
                if uid is not None:
                    break
        except ComposerError as error:
            raise _unknown(error, UNKNOWN_IF_SAVED) from None
        log.info("composer.earlier_try", found=uid is not None)
        return uid

    async def _look(self) -> str | None:
        found, complete = await self._api.search()
        candidates = [entry for entry in found if self._is_recent(entry)]
        for entry in sorted(candidates, key=_created, reverse=True):
            if entry.content_uid not in self._others and await self._is_ours(entry.content_uid):
                return entry.content_uid
        if not complete:
            raise unavailable("the project has more compositions than a search returns", 1, "")
        return None

    def _is_recent(self, entry: Described) -> bool:
        return entry.created_at is None or _created(entry) >= self._since

    async def _is_ours(self, uid: str) -> bool:
        try:
            ours = is_made_from(await self._api.read(uid), self._seed)
        except ComposerError as error:
            if error.code is COMPOSER_UNAVAILABLE:
                raise
            if error.code is not COMPOSITION_NOT_FOUND:
                # Somebody else's unreadable document: ours is readable.
                log.warning("composer.unreadable_candidate", code=error.code.code)
            ours = False
        if not ours:
            self._others.add(uid)
        return ours


def _created(entry: Described) -> datetime:
    return aware(entry.created_at or datetime.max)


@dataclass(frozen=True, slots=True)
class Updated:
    """What Composer has after a change.

    ``others`` are the uids of versions that somebody else saved between our read and our write: whichever
    came first was overwritten, and is kept in the list of versions.
    """

    document: Document
    others: tuple[str, ...] = ()


async def update_once(
    api: ComposerApi,
    uid: str,
    edit: Edit,
    *,
    expected_version: str | None,
    earlier_attempt: bool,
    fence: Fence,
    before_writing: Callable[[Document], Awaitable[None]] | None = None,
) -> Updated:
    """Change a composition unless an earlier attempt has done so; return what Composer has now.

    Composer cannot compare and save in one step. Somebody who saves between our read and our write, a
    fraction of a second, is overwritten; afterwards the list of versions tells, and so does the result.
    ``before_writing`` is given what the composition was, and may refuse by raising.

    Raises:
        version_conflict: its version is not the expected one; nothing was changed.
        widget_not_found, no_heading, composition_full, ambiguous_moves: the change does not fit the
            composition; nothing was changed.
        composer_unavailable: it says whether something was saved.
        composition_not_found, composer_refused, composer_rejected_token, composer_changed.
    """
    (base, known) = await _both(
        _settled(api, uid, edit) if earlier_attempt else api.read(uid), _known_versions(api, uid)
    )
    if earlier_attempt and edit.is_applied(base):
        return Updated(base)
    current = version_of(base)
    if expected_version is not None and expected_version != current:
        raise VERSION_CONFLICT.error(current=current, expected=expected_version)
    target = edit.apply(base)
    if version_of(target) == current:
        # It is so already: another version would say nothing new.
        return Updated(base)
    if before_writing is not None:
        await before_writing(base)
    patience = Patience(api.settings, api.retries)
    ours = None
    while True:
        patience.begin()
        try:
            saved = await api.replace(uid, target, fence)
            ours = saved.document.content_uid if saved.document else None
            break
        except WriteFailed as failure:
            log.warning("composer.write_failed", reason=failure.reason, uncertain=failure.uncertain)
            reason, uncertain = failure.reason, failure.uncertain
        if uncertain and await _was_saved(api, uid, base, target):
            break
        if not await patience.pause():
            raise unavailable(reason, patience.tries, NOTHING_CHANGED)
    return Updated(target, await _saved_by_others(api, uid, target, known, ours))


async def _both(
    reading: Coroutine[Any, Any, Document], listing: Coroutine[Any, Any, set[str] | None]
) -> tuple[Document, set[str] | None]:
    """Wait for both at once; the failure of one ends the other."""
    try:
        async with asyncio.TaskGroup() as group:
            document, known = group.create_task(reading), group.create_task(listing)
    except* ComposerError as errors:
        raise errors.exceptions[0] from None
    return document.result(), known.result()


async def _known_versions(api: ComposerApi, uid: str) -> set[str] | None:
    """Return the uids of all versions, or nothing when Composer does not say: no reason not to save."""
    try:
        return {entry.content_uid for entry in await api.versions(uid)}
    except ComposerError as error:
        log.warning("composer.versions_unknown", code=error.code.code)
        return None


async def _saved_by_others(
    api: ComposerApi, uid: str, target: Document, known: set[str] | None, ours: str | None
) -> tuple[str, ...]:
    """Return the versions that are new and not ours."""
    if known is None or (now := await _known_versions(api, uid)) is None:
        return ()
    others = []
    for version_uid in sorted(now - known - {ours})[:OTHERS_READ]:
        try:
            # A save whose answer was lost is ours as well; only its content tells.
            if version_of(await api.read(version_uid)) == version_of(target):
                continue
        except ComposerError as error:
            log.warning("composer.version_unreadable", code=error.code.code)
        others.append(version_uid)
    if others:
        log.warning("composer.concurrent_save", versions=len(others))
    return tuple(others)


async def _settled(api: ComposerApi, uid: str, edit: Edit) -> Document:
    """Give a write of an earlier attempt time to appear; return what Composer has then."""
    async for _ in moments(api):
        base = await api.read(uid)
        if edit.is_applied(base):
            break
    return base


async def _was_saved(api: ComposerApi, uid: str, base: Document, target: Document) -> bool:
    """Whether a replacement of unknown outcome has arrived."""
    before, after = version_of(base), version_of(target)
    now = before
    try:
        async for _ in moments(api):
            now = version_of(await api.read(uid))
            if now != before:
                break
    except ComposerError as error:
        raise _unknown(error, "It is not known whether the change was saved.") from None
    if now not in (before, after):
        # Ours may have been saved and changed since, or never: only a person can tell.
        raise unavailable(
            "somebody else saved the composition at the same moment",
            1,
            "Read it again to see whether your change is there.",
        )
    return now == after
