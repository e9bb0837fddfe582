"""Artifacts (pictures of previews) in an object store, named after their content.

A key is the SHA-256 of the bytes plus the kind's suffix, so equal bytes are stored once and an artifact
never changes. Who may read which artifact is decided by the job that names its key.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from obstore.exceptions import AlreadyExistsError

from composer_mcp.errors import ARTIFACT_TOO_LARGE, ARTIFACT_UNKNOWN, STORE_UNAVAILABLE
from composer_mcp.store import objects
from composer_mcp.store.lesson_templates import LessonTemplates

if TYPE_CHECKING:
    from composer_mcp.settings import Credentials, ObjectStoreSettings
    from composer_mcp.store.objects import ObjectStore

SUFFIXES = {"image/png": "png"}
KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.(?:png|bin)")
#: Far more than the picture of any page that a browser of ours makes.
MAX_BYTES = 32 * 1024 * 1024
#: Who stores what is there already makes it as good as new, unless it still is.
NEW = timedelta(hours=12)
#: An artifact outlives the jobs that name it by more than that.
SLACK = timedelta(days=2)
#: How many are removed with one request.
PORTION = 500

log = structlog.get_logger(__name__)


class ArtifactStore:
    """Content-addressed, create-only storage; and what else lies in the same place."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.templates = LessonTemplates(store)

    @classmethod
    def open(cls, settings: ObjectStoreSettings, credentials: Credentials) -> ArtifactStore:
        """Prepare the store; nothing is contacted yet."""
        return cls(objects.open_store(settings, credentials))

    async def put(self, data: bytes, media_type: str) -> str:
        """Keep ``data`` and return its key; storing the same bytes again changes nothing but its age.

        Raises:
            artifact_too_large: it is larger than ``MAX_BYTES``.
            store_unavailable: the store cannot be reached or refuses.
        """
        if len(data) > MAX_BYTES:
            raise ARTIFACT_TOO_LARGE.error(bytes=len(data), limit=MAX_BYTES)
        digest = hashlib.sha256(data).hexdigest()
        key = f"{digest[:2]}/{digest}.{SUFFIXES.get(media_type, 'bin')}"
        async with objects.reached("The artifact was not kept."):
            try:
                await self._store.put_async(key, data, mode="create")
            except AlreadyExistsError:
                await self._renew(key, data)
        return key

    async def _renew(self, key: str, data: bytes) -> None:
        """Make an old artifact new, so that it is not forgotten while a job of today names it."""
        there = await self._store.head_async(key)
        if there["size"] != len(data) or datetime.now(UTC) - there["last_modified"] > NEW:
            await self._store.put_async(key, data, mode="overwrite")

    async def get(self, key: str) -> bytes:
        """Return the bytes of an artifact, as they were stored.

        Raises:
            artifact_unknown: there is none of that key.
            store_unavailable: the store cannot be reached or refuses, or what it has was changed.
        """
        if not KEY.fullmatch(key):
            raise ARTIFACT_UNKNOWN.error(key=key[:80])
        async with objects.reached():
            try:
                answer = await self._store.get_async(key)
                data = bytes(await answer.bytes_async()) if answer.meta["size"] <= MAX_BYTES else b""
            except FileNotFoundError as error:
                raise ARTIFACT_UNKNOWN.error(key=key) from error
        if hashlib.sha256(data).hexdigest() != key[3:67]:
            log.error("artifacts.changed", key=key, bytes=answer.meta["size"])
            raise STORE_UNAVAILABLE.error(store="object store", state="The artifact was changed there.")
        return data

    async def forget(self, retention: timedelta) -> int:
        """Remove artifacts that no job names any more, because all jobs of their time are forgotten.

        ``retention`` is how long jobs are kept. Returns how many were removed; nothing else is touched.

        Raises:
            store_unavailable: the store cannot be reached or refuses; what was removed stays removed.
        """
        before = datetime.now(UTC) - retention - SLACK
        old: list[str] = []
        listing = self._store.list(chunk_size=PORTION)
        while True:
            async with objects.reached("Some old artifacts were not removed."):
                portion = await anext(listing, None)
            if portion is None:
                break
            old += [
                each["path"]
                for each in portion
                if KEY.fullmatch(each["path"]) and each["last_modified"] < before
            ]
        for start in range(0, len(old), PORTION):
            async with objects.reached("Some old artifacts were not removed."):
                await self._store.delete_async(old[start : start + PORTION])
        if old:
            log.info("artifacts.forgotten", number=len(old))
        return len(old)
