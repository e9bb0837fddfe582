# Copyright: EuConquisto Composer contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""SCRAM-SHA-256 verifiers as PostgreSQL stores them (RFC 5803): made and checked here, without a server.

With these a password never has to be part of an SQL statement, where a log could catch it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import unicodedata

ITERATIONS = (
    4096  # PostgreSQL's own number; passwords here are random, so more would only slow each connection
)
VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)")


def make(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """Return a verifier for the password, with a random salt unless one is given."""
    salt = os.urandom(16) if salt is None else salt
    # PostgreSQL prepares with SASLprep; for what people can type that is NFKC.
    prepared = unicodedata.normalize("NFKC", password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", prepared, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    parts = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def matches(verifier: str | None, password: str) -> bool:
    """Whether the verifier was made from the password; False for none and for other kinds (MD5)."""
    found = VERIFIER.fullmatch(verifier or "")
    if not found:
        return False
    try:
        salt = base64.b64decode(found.group(2), validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(make(password, salt, int(found.group(1))), verifier or "")
