"""An issuer of tokens: publishes its keys over TLS and signs whatever a test asks for."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from .authority import Authority

ALGORITHMS = ("ES256", "RS256", "EdDSA")


class Key:
    """A key pair of one algorithm."""

    def __init__(self, algorithm: str = "ES256", bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.private: Any = {
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=bits),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
        }[algorithm]()

    def published(self, name: str) -> dict[str, Any]:
        """Return the public half as a member of a key set."""
        made = jwt.get_algorithm_by_name(self.algorithm)
        entry: dict[str, Any] = type(made).to_jwk(self.private.public_key(), as_dict=True)
        return entry | {"kid": name, "alg": self.algorithm, "use": "sig"}

    @property
    def public_text(self) -> bytes:
        """The public half as a PEM text: known to everybody."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


class Issuer:
    """Serves ``/keys`` on a free port; ``requests`` counts how often it was asked."""

    def __init__(self, authority: Authority, audience: str) -> None:
        self.authority = authority.certificate
        self.audience = audience
        self.requests = 0
        #: While set, it answers with an error.
        self.away = False
        self.keys = {"first": Key()}
        self._current = "first"
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests += 1
                body = b"" if issuer.away else json.dumps(issuer.key_set()).encode()
                self.send_response(503 if issuer.away else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*authority.issue("issuer"))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def key_set(self) -> dict[str, Any]:
        return {"keys": [key.published(name) for name, key in self.keys.items()]}

    @contextlib.contextmanager
    def rotated(self, name: str, algorithm: str = "ES256") -> Iterator[None]:
        """Sign with a new key for a while; the old one stays published."""
        before, self._current = self._current, name
        self.keys[name] = Key(algorithm)
        try:
            yield
        finally:
            self._current = before

    def claims(
        self,
        tenant: str | None = "school",
        scope: str = "compositions:read compositions:write jobs:read",
        **claims: Any,
    ) -> dict[str, Any]:
        """Return the claims of a token, good for five minutes; one that is ``None`` is left out."""
        now = int(time.time())
        content = {
            "iss": self.url,
            "aud": self.audience,
            "sub": "teacher",
            "iat": now,
            "exp": now + 300,
            "tenant": tenant,
            "scope": scope,
        } | claims
        return {name: value for name, value in content.items() if value is not None}

    def token(self, *arguments: Any, **claims: Any) -> str:
        """Return a token with :meth:`claims`."""
        return self.sign(self.keys[self._current], self._current, self.claims(*arguments, **claims))

    def sign(self, key: Key, name: str | None, claims: dict[str, Any]) -> str:
        """Sign with any key, under any name."""
        headers = {} if name is None else {"kid": name}
        # Not as a set of claims, which the library would not sign if they were wrong.
        content = json.dumps(claims).encode()
        return jwt.api_jws.encode(content, key.private, algorithm=key.algorithm, headers=headers)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
