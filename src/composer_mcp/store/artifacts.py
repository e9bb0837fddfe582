"""Artifacts (pictures of previews) in an object store, named after their content.

A key is the SHA-256 of the bytes plus the kind's suffix, so equal bytes are stored once and an artifact
never changes. Who may read which artifact is decided by the job that names its key.
"""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from composer_mcp.errors import ARTIFACT_UNKNOWN, STORE_UNAVAILABLE

if TYPE_CHECKING:
    from obstore.store import ClientConfig

    from composer_mcp.settings import Credentials, ObjectStoreSettings

SUFFIXES = {"image/png": "png"}
KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.(?:png|bin)")


class ArtifactStore:
    """Content-addressed, create-only storage."""

    def __init__(self, store: LocalStore | S3Store) -> None:
        self._store = store

    @classmethod
    def open(cls, settings: ObjectStoreSettings, credentials: Credentials) -> ArtifactStore:
        """Prepare the store; nothing is contacted yet."""
        kind, _, place = settings.url.partition("://")
        if kind == "file":
            return cls(LocalStore(place, mkdir=True))
        options: ClientConfig = {
            "timeout": timedelta(seconds=20),
            "connect_timeout": timedelta(seconds=5),
        }
        if settings.authority is not None:
            options["root_certificate"] = settings.authority.read_bytes()
        return cls(
            S3Store(
                place,
                endpoint=settings.endpoint,
                region=settings.region,
                access_key_id=credentials.read("object-store-access-key").get_secret_value(),
                secret_access_key=credentials.read("object-store-secret-key").get_secret_value(),
                virtual_hosted_style_request=False,
                client_options=options,
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
            )
        )

    async def put(self, data: bytes, media_type: str) -> str:
        """Keep ``data`` and return its key; storing the same bytes again changes nothing.

        Raises:
            store_unavailable: the store cannot be reached or refuses.
        """
        digest = hashlib.sha256(data).hexdigest()
        key = f"{digest[:2]}/{digest}.{SUFFIXES.get(media_type, 'bin')}"
        try:
            await self._store.put_async(key, data, mode="create")
        except AlreadyExistsError:
            return key
        except BaseError as error:
            raise STORE_UNAVAILABLE.error(store="object store", state="The artifact was not kept.") from error
        return key

    async def get(self, key: str) -> bytes:
        """Return the bytes of an artifact.

        Raises:
            artifact_unknown: there is none of that key.
            store_unavailable: the store cannot be reached or refuses.
        """
        if not KEY.fullmatch(key):
            raise ARTIFACT_UNKNOWN.error(key=key[:80])
        try:
            answer = await self._store.get_async(key)
            return bytes(await answer.bytes_async())
        except FileNotFoundError as error:
            raise ARTIFACT_UNKNOWN.error(key=key) from error
        except BaseError as error:
            raise STORE_UNAVAILABLE.error(store="object store", state="Nothing was changed.") from error
