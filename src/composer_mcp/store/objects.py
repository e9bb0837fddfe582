"""The object store: a folder on one machine, S3 beyond it. What of it is used works the same on both.

What is kept there is known to ``artifacts`` and ``lesson_templates``; here is how it is reached, for how long
anybody waits for it, and what whoever asks is told when it does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from composer_mcp.errors import STORE_UNAVAILABLE

if TYPE_CHECKING:
    from obstore.store import ClientConfig

    from composer_mcp.settings import Credentials, ObjectStoreSettings

ObjectStore: TypeAlias = LocalStore | S3Store

#: One request, with its repetitions; a store that takes longer is away.
LIMIT_SECONDS = 25.0
REQUEST_SECONDS = 10
CONNECT_SECONDS = 5
NOTHING = "Nothing was changed."


def open_store(settings: ObjectStoreSettings, credentials: Credentials) -> ObjectStore:
    """Prepare the store; nothing is contacted yet.

    Raises:
        ConfigurationError: a secret is missing.
    """
    kind, _, place = settings.url.partition("://")
    if kind == "file":
        return LocalStore(place, mkdir=True)
    options: ClientConfig = {
        "timeout": timedelta(seconds=REQUEST_SECONDS),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
    }
    if settings.authority is not None:
        options["root_certificate"] = settings.authority.read_bytes()
    return S3Store(
        place,
        endpoint=settings.endpoint,
        region=settings.region,
        access_key_id=credentials.read("object-store-access-key").get_secret_value(),
        secret_access_key=credentials.read("object-store-secret-key").get_secret_value(),
        virtual_hosted_style_request=False,
        client_options=options,
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=LIMIT_SECONDS - 5)},
    )


@contextlib.asynccontextmanager
async def reached(state: str = NOTHING) -> AsyncIterator[None]:
    """Tell what goes wrong with the store by an error of the table; FileNotFoundError stays what it is.

    ``state`` says what is known of the caller's request if it fails.

    Raises:
        store_unavailable: the store cannot be reached, does not answer in time, refuses, or its disk is full.
    """
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError, TimeoutError) as error:
        raise STORE_UNAVAILABLE.error(store="object store", state=state) from error
