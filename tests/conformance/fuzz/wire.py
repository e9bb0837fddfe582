"""HTTP/1.1 over one kept-alive connection, by hand: no well-behaved client could send what is sent here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

ANSWER_SECONDS = 60.0
CLOSE_SECONDS = 15.0
REFUSED_BYTES = 1024 * 1024


class NoAnswer(Exception):
    """The server closed the connection, or said nothing, instead of answering."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection at a time to one server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, request: bytes, *, cut_off: bool = False, stream: bool = False) -> Answer | None:
        """Send a request and return the answer.

        ``cut_off``: the request is not whole; nothing follows, and the server may answer or just close.
        ``stream``: the answer may never end, so it counts as complete once its headers are there.

        Raises:
            NoAnswer: see there.
        """
        for fresh in (False, True):
            reused = self._streams is not None
            try:
                return await self._exchange(request, cut_off=cut_off, stream=stream)
            except (NoAnswer, ConnectionError):
                self.close()
                if len(request) > REFUSED_BYTES:
                    # Refused while it is still being sent: closing may overtake the answer that says so.
                    return Answer(413, {}, b"")
                # The server may close an idle connection at any time; that is no answer to this request.
                if fresh or not reused:
                    raise
        return None

    async def _exchange(self, request: bytes, *, cut_off: bool, stream: bool) -> Answer | None:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        if cut_off:
            return await self._cut_off(reader, writer)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await writer.drain()
                answer = await self._read(reader, stream)
        except asyncio.IncompleteReadError as error:
            raise NoAnswer(f"the connection was closed after {error.partial[:200]!r}") from error
        except TimeoutError as error:
            raise NoAnswer(f"nothing within {ANSWER_SECONDS:.0f} s") from error
        if stream or answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    async def _cut_off(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer | None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                writer.write_eof()
                return await self._read(reader, stream=False)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            return None
        except TimeoutError as error:
            raise NoAnswer(f"a request cut off was kept open for {CLOSE_SECONDS:.0f} s") from error
        finally:
            self.close()

    async def _read(self, reader: asyncio.StreamReader, stream: bool) -> Answer:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while not stream and (size := int(await reader.readuntil(b"\r\n"), 16)):
                body += (await reader.readexactly(size + 2))[:-2]
            if not stream:
                await reader.readexactly(2)
        elif "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        elif status != 204:
            headers["connection"] = "close"
            body = b"" if stream else await reader.read()
        return Answer(status, headers, body)

    def close(self) -> None:
        """Close; the next exchange opens a new connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
