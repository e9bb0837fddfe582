"""The third party's account with us: project, connector, project key, and the token of a service account."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

PROJECT_UID = "4d8f2f0e-8f5b-4f0c-9b55-7f4a0c6a1d21"
CONNECTOR_UID = "c3b0f7a6-1f43-4a52-8f06-2b9d6e0f5a10"
USER_UID = "b1d1a3c5-52a7-4c43-8f1e-7f6c1b9e0d42"
TOKEN_LENGTH = 3276
PROJECT_KEY_LENGTH = 32


@dataclass(frozen=True)
class Account:
    """What the stand-in accepts."""

    signing_key: str
    project_key: str
    project_uid: str = PROJECT_UID
    connector_uid: str = CONNECTOR_UID

    def user(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a good token, else nothing."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self.signing_key, algorithms=["HS256"], options={"require": ["email", "oid", "apim"]}
            )
        except jwt.PyJWTError:
            return None
        return claims


def make_token(signing_key: str) -> str:
    """Return a token of the length and with the claims that real ones have; it does not expire."""
    claims: dict[str, Any] = {
        "email": "servico.composer@escola.example",
        "name": "Serviço Composer",
        "oid": USER_UID,
        "directory": "escola",
        "apim": secrets.token_hex(16),
        "dirn": "Escola de Exemplo",
        "role": ["author", "editor", "publisher"],
        "dcn": [],
    }
    while len(jwt.encode(claims, signing_key, algorithm="HS256")) < TOKEN_LENGTH - 60:
        claims["dcn"].append(secrets.token_hex(16))
    claims["dcn"].append("")
    while len(token := jwt.encode(claims, signing_key, algorithm="HS256")) < TOKEN_LENGTH:
        claims["dcn"][-1] += "0"
    return token


def read_or_make(path: Path, length: int) -> str:
    """Return the secret in a file; make it, readable by its owner only, if there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(length // 2))
    return path.read_text().strip()
