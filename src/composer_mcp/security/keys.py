"""The public keys of one issuer: fetched over verified TLS, kept, and looked up by key id.

Those of the local issuer are read from a file instead.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import httpx
import jwt
import structlog

from composer_mcp.errors import KEYS_UNAVAILABLE
from composer_mcp.settings import ConfigurationError

if TYPE_CHECKING:
    from composer_mcp.settings import IssuerSettings

FRESH_SECONDS = 300.0
#: Keys that cannot be refreshed are used so much longer: an issuer that is away must not lock everybody out.
STALE_SECONDS = 24 * 3600.0
#: An unknown key id makes us look again, but a forger cannot make us hammer the issuer.
RETRY_SECONDS = 10.0
LIMIT_BYTES = 256 * 1024

log = structlog.get_logger(__name__)


class IssuerKeys:
    """Keys by id."""

    def __init__(self, settings: IssuerSettings, client: httpx.AsyncClient | None = None) -> None:
        self._url = settings.jwks_url
        self._client = client or httpx.AsyncClient(verify=_trust(settings), timeout=5, trust_env=False)
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key, or ``None`` if the issuer does not have it.

        Raises:
            issuer_unavailable: no keys are known and none can be fetched.
        """
        if key_id not in self._keys or time.monotonic() - self._fetched_at > FRESH_SECONDS:
            async with self._lock:
                await self._refresh_unless_just_tried()
        if time.monotonic() - self._fetched_at > STALE_SECONDS:
            raise KEYS_UNAVAILABLE.error()
        return self._keys.get(key_id)

    async def _refresh_unless_just_tried(self) -> None:
        if time.monotonic() - self._tried_at < RETRY_SECONDS:
            return
        self._tried_at = time.monotonic()
        try:
            self._keys = await self.fetch()
        except (httpx.HTTPError, OSError, ValueError, jwt.PyJWTError) as error:
            log.warning("keys.fetch_failed", url=self._url, error=repr(error))
        else:
            self._fetched_at = time.monotonic()

    async def fetch(self) -> dict[str, jwt.PyJWK]:
        """Fetch the keys now.

        Raises:
            httpx.HTTPError, OSError, ValueError, jwt.PyJWTError: unreachable, untrusted or not a key set.
        """
        body = await self._read()
        keys = jwt.PyJWKSet.from_json(body.decode()).keys
        return {key.key_id: key for key in keys if key.key_id and key.public_key_use in (None, "sig")}

    async def _read(self) -> bytes:
        place = urlsplit(self._url)
        if place.scheme == "file":
            return await asyncio.to_thread(Path(unquote(place.path)).read_bytes)
        async with self._client.stream("GET", self._url) as answer:
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
