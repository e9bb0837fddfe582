"""The public keys of one issuer: fetched over verified TLS, kept, and looked up by key id.

Those of the local issuer are read from a file instead.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import httpx
import jwt
import structlog

from composer_mcp.errors import KEYS_UNAVAILABLE
from composer_mcp.settings import ConfigurationError

if TYPE_CHECKING:
    from composer_mcp.settings import IssuerSettings

#: Keys are used without a question for so long; for as long again they are used while they are fetched anew.
FRESH_SECONDS = 300.0
#: Keys that cannot be refreshed are used so much longer: an issuer that is away must not lock everybody out.
STALE_SECONDS = 24 * 3600.0
#: An unknown key id makes us look at once, because issuers sign with a new key as soon as they have it. But a
#: forger cannot make us hammer the issuer: a look is earned in ten seconds, and a few can be saved up.
EARN_SECONDS = 10.0
SAVED_LOOKS = 5
#: Between two looks in any case.
PAUSE_SECONDS = 1.0
LIMIT_BYTES = 256 * 1024
LIMIT_KEYS = 100

log = structlog.get_logger(__name__)


class IssuerKeys:
    """Keys by id."""

    def __init__(self, settings: IssuerSettings, client: httpx.AsyncClient | None = None) -> None:
        self._url = settings.jwks_url
        self._client = client or httpx.AsyncClient(verify=_trust(settings), timeout=5, trust_env=False)
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._away = False
        self._tried_at = float("-inf")
        self._looks = float(SAVED_LOOKS)
        self._earned_at = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        await self._client.aclose()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key, or ``None`` if the issuer does not have it.

        A key that is known is returned without waiting for an issuer that is away.

        Raises:
            issuer_unavailable: the key is not known, or too old, and the issuer cannot be asked.
        """
        age = time.monotonic() - self._fetched_at
        key = self._keys.get(key_id)
        if key is not None and age <= FRESH_SECONDS:
            return key
        refreshing = self._refresh()
        # Waited for unless the keys are only a little old, or the issuer did not answer the last time.
        if refreshing is not None and not (key is not None and (self._away or age <= 2 * FRESH_SECONDS)):
            # Others wait for the same look; whoever goes away leaves it to them.
            await asyncio.shield(refreshing)
        if time.monotonic() - self._fetched_at > STALE_SECONDS:
            raise KEYS_UNAVAILABLE.error()
        key = self._keys.get(key_id)
        if key is None and self._away:
            raise KEYS_UNAVAILABLE.error()
        return key

    def _refresh(self) -> asyncio.Task[None] | None:
        """Return the look at the issuer that is under way, or a new one; ``None`` if it is too early."""
        if self._refreshing is not None and not self._refreshing.done():
            return self._refreshing
        now = time.monotonic()
        if now - self._tried_at < PAUSE_SECONDS:
            return None
        self._looks = min(float(SAVED_LOOKS), self._looks + (now - self._earned_at) / EARN_SECONDS)
        self._earned_at = now
        if self._looks < 1:
            return None
        self._looks -= 1
        self._tried_at = now
        self._refreshing = asyncio.create_task(self._fetch_and_keep())
        return self._refreshing

    async def _fetch_and_keep(self) -> None:
        try:
            self._keys = await self.fetch()
        except (httpx.HTTPError, OSError, ValueError) as error:
            self._away = True
            log.warning("keys.fetch_failed", url=self._url, error=repr(error))
        else:
            self._away = False
            self._fetched_at = time.monotonic()

    async def fetch(self) -> dict[str, jwt.PyJWK]:
        """Fetch the keys now.

        Raises:
            httpx.HTTPError, OSError, ValueError: unreachable, untrusted or not a key set.
        """
        try:
            entries = json.loads(await self._read())["keys"]
            keys = [key for entry in entries[:LIMIT_KEYS] if (key := self._usable(entry)) is not None]
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"it is not a key set: {error!r}") from error
        return {str(key.key_id): key for key in keys}

    def _usable(self, entry: Any) -> jwt.PyJWK | None:
        """Return a key that tokens can be signed with; one of a kind that we do not know harms no other."""
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
            return None
        if entry.get("use") not in (None, "sig"):
            return None
        try:
            return jwt.PyJWK(entry)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            log.info(
                "keys.one_left_out", url=self._url, key_id=entry["kid"][:100], error=type(error).__name__
            )
            return None

    async def _read(self) -> bytes:
        place = urlsplit(self._url)
        if place.scheme == "file":
            return await asyncio.to_thread(Path(unquote(place.path)).read_bytes)
        async with asyncio.timeout(10), self._client.stream("GET", self._url) as answer:
            answer.raise_for_status()
            body = b""
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > LIMIT_BYTES:
                    raise ValueError(f"the key set is larger than {LIMIT_BYTES} bytes")
        return body


def _trust(settings: IssuerSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(settings.authority) if settings.authority else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"issuers.authority {settings.authority} cannot be read as a certificate: {error}."
        ) from error
