"""The chain: what makes a change, a removal or an insertion show. Pure functions; nothing is stored here.

The hash of an entry is a keyed one (HMAC-SHA256) over its number, the hash of the entry before it, and its
line. Whoever can write to the database but does not have the key cannot make a hash that fits. Two *marks*,
the head and the anchor, are sealed with the key as well: the head says which entry is the last, so that
removal at the end shows; the anchor says after which entry the chain begins since older ones were archived.

The keys are derived (HKDF, RFC 5869) from the secret ``audit-key``, one for each purpose. The secret may be
several, separated by blanks, while an old one is being replaced: the first is used, all are recognized.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from composer_mcp.settings import ConfigurationError

#: Says what the keys are for; another version of the format gets other keys.
CONTEXT = b"composer-mcp audit trail 1: "
HASH_BYTES = 32
#: The hash before the first entry.
NOTHING = bytes(HASH_BYTES)
SHORTEST_SECRET = 32
CHECKPOINT = re.compile(r"composer-audit-1:(\d{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Key:
    """What is derived from one secret; ``name`` tells which it is and nothing about it."""

    name: str
    chain: bytes
    mark: bytes


class Keys:
    """The keys of a trail: the first makes hashes, all are recognized."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Derive them.

        Raises:
            ConfigurationError: there is none, or one is too short to be a key.
        """
        if not secrets or min(map(len, secrets)) < SHORTEST_SECRET:
            raise ConfigurationError(
                f"the secret audit-key must have at least {SHORTEST_SECRET} characters: whoever guesses it "
                "can change the audit trail unnoticed. Make one with: openssl rand -base64 48"
            )
        derived = [_derive(secret.encode()) for secret in secrets]
        self.current = derived[0]
        self._known = {key.name: key for key in derived}

    def find(self, name: str) -> Key | None:
        """Return the key of this name, if we have it."""
        return self._known.get(name)


def _derive(secret: bytes) -> Key:
    def one(purpose: bytes, length: int) -> bytes:
        return HKDF(algorithm=SHA256(), length=length, salt=None, info=CONTEXT + purpose).derive(secret)

    return Key(one(b"name", 4).hex(), one(b"chain", HASH_BYTES), one(b"mark", HASH_BYTES))


def link(key: Key, number: int, previous: bytes, line: str) -> bytes:
    """Return the hash of the entry ``number``, whose predecessor has the hash ``previous``."""
    return hmac.digest(key.chain, number.to_bytes(8, "big", signed=True) + previous + line.encode(), "sha256")


Name = Literal["head", "anchor"]


class Mark(NamedTuple):
    """A place in the chain, after the entry ``number``, sealed with the key named ``key``."""

    number: int = 0
    hash: bytes = NOTHING
    key: str = ""
    seal: bytes = b""

    @property
    def untouched(self) -> bool:
        """Whether this is a mark as the migration makes it: nothing was ever recorded or archived."""
        return self == Mark()


def sealed(key: Key, name: Name, number: int, hash_: bytes) -> Mark:
    """Return a mark with its seal."""
    return Mark(number, hash_, key.name, _seal(key, name, number, hash_))


def genuine(keys: Keys, name: Name, mark: Mark) -> bool:
    """Whether a mark was sealed by somebody who has one of the keys."""
    key = keys.find(mark.key)
    if key is None:
        return mark.untouched
    return hmac.compare_digest(mark.seal, _seal(key, name, mark.number, mark.hash))


def _seal(key: Key, name: Name, number: int, hash_: bytes) -> bytes:
    return hmac.digest(key.mark, name.encode() + number.to_bytes(8, "big", signed=True) + hash_, "sha256")


class Checkpoint(NamedTuple):
    """What an operator keeps elsewhere: that the entry ``number`` has this hash."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"composer-audit-1:{self.number}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> Checkpoint | None:
        """Return the last checkpoint in a text, if there is one."""
        found = cls.every(text)
        return found[-1] if found else None

    @classmethod
    def every(cls, text: str) -> list[Checkpoint]:
        """Return all checkpoints in a text, such as a file, or lines of the log."""
        return [cls(int(number), bytes.fromhex(hash_)) for number, hash_ in CHECKPOINT.findall(text)]
