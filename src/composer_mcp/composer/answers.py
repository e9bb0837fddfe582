"""Reading an answer within bounds: neither an endless one nor a small one that unpacks to gigabytes harms us.

The HTTP library would unpack whatever arrives; so we ask for gzip or nothing, read the raw bytes, and unpack
them ourselves with a limit.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import httpx

#: Sent with every request.
ACCEPT_ENCODING = "gzip"
_GZIP = 16 + zlib.MAX_WBITS


class BadAnswer(Exception):
    """The answer cannot be read; the text says why, without quoting anything of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, complete and unpacked."""

    status: int
    content: bytes
    location: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300

    @property
    def is_redirect(self) -> bool:
        """Whether Composer wants us to go elsewhere; we never do."""
        return 300 <= self.status < 400

    @property
    def text(self) -> str:
        """The content as text, whatever it is."""
        return self.content.decode(errors="replace")


async def receive(response: httpx.Response, limit: int) -> Answer:
    """Read an answer of at most ``limit`` bytes, unpacked.

    Raises:
        BadAnswer: it is larger, packed in a way we did not ask for, or damaged.
        httpx.TransportError: the connection broke.
    """
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("identity", "gzip"):
        raise BadAnswer("an answer that is packed in an unknown way")
    unpacker = zlib.decompressobj(_GZIP) if packed == "gzip" else None
    content = bytearray()
    async for chunk in response.aiter_raw():
        room = limit - len(content)
        try:
            # One byte more than allowed is enough to know.
            content += chunk if unpacker is None else unpacker.decompress(chunk, room + 1)
        except zlib.error:
            raise BadAnswer("an answer that cannot be unpacked") from None
        if len(content) > limit:
            raise BadAnswer(f"an answer of more than {limit} bytes")
    if unpacker is not None and not unpacker.eof and content:
        raise BadAnswer("an answer that cannot be unpacked")
    return Answer(response.status_code, bytes(content), response.headers.get("location"))
