"""The issuer that a server running alone is for itself: one key in the state directory, tokens on request.

The key never leaves its file. What verifies tokens reads the public half from a file next to it, as it would
fetch it from any other issuer; nothing here listens on a network.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from composer_mcp.alone.defaults import LOCAL_ISSUER
from composer_mcp.alone.directory import write_whole
from composer_mcp.security.caller import LOCAL_TENANT, user_name
from composer_mcp.settings import ConfigurationError

ALGORITHM = "ES256"


class LocalIssuer:
    """Signs tokens for the user of this machine."""

    def __init__(self, folder: Path) -> None:
        """Read the key, or make it.

        Raises:
            ConfigurationError: the key cannot be read or made.
        """
        private, public = folder / "signing-key.pem", folder / "keys.json"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not private.exists():
                write_whole(private, _new_key(), replace=False)
            key = serialization.load_pem_private_key(private.read_bytes(), password=None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError("it is of another kind")
            self._key = key
            entry: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
            self._key_id = _thumbprint(entry)
            published = {"keys": [entry | {"kid": self._key_id, "alg": ALGORITHM, "use": "sig"}]}
            text = json.dumps(published).encode()
            if not public.exists() or public.read_bytes() != text:
                write_whole(public, text, replace=True)
        except OSError as error:
            raise ConfigurationError(
                f"the key {private} cannot be read or made: {error.strerror}. "
                f"Restore the permissions of {folder}."
            ) from error
        except ValueError as error:
            raise ConfigurationError(
                f"{private} is not a key of this server: {error}. Remove it; a new one is made, and tokens "
                "of the old one are no longer accepted."
            ) from error

    def token(self, scopes: Collection[str], minutes: float, subject: str | None = None) -> str:
        """Return a bearer token, valid from now on for so many minutes; for this user unless told."""
        now = int(time.time())
        claims = {
            "iss": LOCAL_ISSUER,
            "aud": LOCAL_ISSUER,
            "sub": subject or user_name(),
            "jti": secrets.token_hex(16),
            "tenant": LOCAL_TENANT,
            "scope": " ".join(sorted(scopes)),
            "iat": now,
            "exp": now + round(minutes * 60),
        }
        return jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self._key_id})


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _thumbprint(entry: dict[str, Any]) -> str:
    """Name a key after itself (RFC 7638)."""
    members = {name: entry[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
