"""The state of a page after the login to Composer: kept per tenant, sealed, restored into the next page.

What is kept is useless without the token: its key is derived from the token, and where the token and the
project key stood in the state, marks are kept in their place. A new token therefore ends every snapshot.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.errors import ComposerError
from composer_mcp.store.login_snapshots import LIMIT_BYTES, LoginSnapshots

#: Bound into the key, so that nothing else is ever sealed by the same one.
CONTEXT = b"composer-mcp login snapshot 1"
NONCE_BYTES = 12

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Login:
    """What a logged-in page knows: cookies, and the local storage of Composer's pages."""

    cookies: list[Any]
    storage: list[dict[str, str]]


class Logins:
    """Keeps and restores logins; whatever goes wrong with that, the page is logged in anew.

    ``needs_reload`` is found out once in a process: whether Composer's page reads its state only at its
    beginning, so that a page which stands already must be loaded again.
    """

    def __init__(
        self,
        snapshots: LoginSnapshots,
        token: SecretStr,
        project_key: SecretStr,
        settings: ComposerSettings,
    ) -> None:
        self._snapshots = snapshots
        self._seconds = settings.login_snapshot_seconds
        self._place = f"{settings.app_url}|{settings.project_uid}"
        secret = token.get_secret_value()
        self._marks = {secret: "\ue000token\ue001", project_key.get_secret_value(): "\ue000project-key\ue001"}
        self._cipher = AESGCM(
            HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=CONTEXT).derive(secret.encode())
        )
        self.needs_reload = False

    async def find(self, tenant: str) -> Login | None:
        """Return the login of a tenant, if one is kept that we can open."""
        if not self._seconds:
            return None
        try:
            sealed = await self._snapshots.find(tenant)
        except ComposerError as error:
            log.warning("login.not_read", reason=error.code.code)
            return None
        return None if sealed is None else self._opened(tenant, sealed)

    async def keep(self, tenant: str, login: Login) -> None:
        """Keep the login of a tenant for the configured time."""
        if not self._seconds:
            return
        sealed = self._sealed(tenant, login)
        if len(sealed) > LIMIT_BYTES:
            log.info("login.too_large", size=len(sealed))
            return
        try:
            await self._snapshots.keep(tenant, sealed, self._seconds)
        except ComposerError as error:
            log.warning("login.not_kept", reason=error.code.code)

    async def forget(self, tenant: str) -> None:
        """Throw the login of a tenant away: Composer did not accept it."""
        try:
            await self._snapshots.forget(tenant)
        except ComposerError as error:
            log.warning("login.not_forgotten", reason=error.code.code)

    def _sealed(self, tenant: str, login: Login) -> bytes:
        text = json.dumps({"cookies": login.cookies, "storage": login.storage}, ensure_ascii=False)
        for secret, mark in self._marks.items():
            text = text.replace(secret, mark)
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), self._bound(tenant))

    def _opened(self, tenant: str, sealed: bytes) -> Login | None:
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            text = self._cipher.decrypt(nonce, rest, self._bound(tenant)).decode()
        except (InvalidTag, ValueError):
            # Sealed with an earlier token, for another place or tenant, or changed by somebody.
            log.info("login.not_opened")
            return None
        for secret, mark in self._marks.items():
            text = text.replace(mark, secret)
        found = json.loads(text)
        return Login(found["cookies"], found["storage"])

    def _bound(self, tenant: str) -> bytes:
        return f"{self._place}|{tenant}".encode()
