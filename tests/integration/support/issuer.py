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
from cryptography.hazmat.primitives.asymmetric import ec

from .authority import Authority


class Issuer:
    """Serves ``/keys`` on a free port; ``requests`` counts how often it was asked."""

    def __init__(self, authority: Authority, audience: str) -> None:
        self.authority = authority.certificate
        self.audience = audience
        self.requests = 0
        self.is_silent = False
        self._keys = {"first": ec.generate_private_key(ec.SECP256R1())}
        self._current = "first"
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests += 1
                if issuer.is_silent:
                    self.send_error(503)
                    return
                body = json.dumps(issuer.key_set()).encode()
                self.send_response(200)
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
        keys = []
        for name, key in self._keys.items():
            entry = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
            keys.append(entry | {"kid": name, "alg": "ES256", "use": "sig"})
        return {"keys": keys}

    @contextlib.contextmanager
    def rotated(self, name: str) -> Iterator[None]:
        """Sign with a new key for a while; the old one stays published."""
        before, self._current = self._current, name
        self._keys[name] = ec.generate_private_key(ec.SECP256R1())
        try:
            yield
        finally:
            self._current = before

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Publish no keys for a while."""
        self.is_silent = True
        try:
            yield
        finally:
            self.is_silent = False

    def token(
        self,
        tenant: str = "school",
        scope: str = "compositions:read compositions:write jobs:read",
        **claims: Any,
    ) -> str:
        """Return a token, good for five minutes unless ``claims`` differ; ``None`` leaves a claim out."""
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
        content = {name: value for name, value in content.items() if value is not None}
        return jwt.encode(
            content, self._keys[self._current], algorithm="ES256", headers={"kid": self._current}
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
