"""MCP over standard input and output: the transport for a client that starts this program itself.

The SDK has one too, but it reads in a thread, which nothing can interrupt: a process told to end would wait
for the client's next message. It also takes lines of any length, and answers none that it cannot read. What
speaks the protocol is the SDK's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, cast

import anyio
import structlog
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError
from pydantic import ValidationError

if TYPE_CHECKING:
    from types import TracebackType

    from mcp.shared._stream_protocols import ReadStream, WriteStream

    from composer_mcp.mcp.server import ComposerServer

READ_BYTES = 64 * 1024
#: What a pipe that is ready takes at once, whatever is in it (POSIX: PIPE_BUF, 4096 on Linux).
WRITE_BYTES = 4096
#: Stands for a line that is too long or not UTF-8, and like it is not JSON.
UNREADABLE = ""

log = structlog.get_logger(__name__)


async def serve(server: ComposerServer, *, line_limit: int) -> None:
    """Answer the client until it closes its end, or until cancelled.

    A message of more than ``line_limit`` bytes is answered as one that cannot be parsed, as is one that is
    cut off or not UTF-8: JSON-RPC's error -32700, without an id, because none can be known.
    """
    with _wire() as (source, sink):
        lines, writer = Lines(source, line_limit), Writer(sink)
        # The SDK asks for files of anyio and uses of them what these have.
        async with stdio_server(
            cast("anyio.AsyncFile[str]", lines), cast("anyio.AsyncFile[str]", writer)
        ) as (incoming, outgoing):
            await server.serve_streams(Understood(incoming, outgoing, line_limit), outgoing)


@contextlib.contextmanager
def _wire() -> Iterator[tuple[int, int]]:
    """Move the client's ends out of the way: what anybody prints goes to the log, children get no input."""
    source, sink = (fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3) for descriptor in (0, 1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    try:
        yield source, sink
    finally:
        for private, standard in ((source, 0), (sink, 1)):
            os.dup2(private, standard)
            os.close(private)


class Lines:
    """The lines that arrive at a descriptor, but for blank ones; ``UNREADABLE`` for what can be none."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor = descriptor
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yield line by line until the other end closes."""
        buffer, skipping = bytearray(), False
        while chunk := await self._read():
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                buffer += end
                if skipping or buffer.strip():
                    yield self._text(buffer, skipping)
                buffer.clear()
                skipping = False
            buffer += rest
            if len(buffer) > self._limit:
                skipping = True
                buffer.clear()
        if skipping or buffer.strip():
            yield self._text(buffer, skipping)

    def _text(self, line: bytearray, too_long: bool) -> str:
        if too_long or len(line) > self._limit:
            log.warning("stdio.message_too_long", limit=self._limit)
            return UNREADABLE
        try:
            return line.decode()
        except UnicodeDecodeError:
            log.warning("stdio.message_not_utf8")
            return UNREADABLE

    async def _read(self) -> bytes:
        # A file is always ready, and the system refuses to wait for it.
        with contextlib.suppress(PermissionError):
            await anyio.wait_readable(self._descriptor)
        try:
            return os.read(self._descriptor, READ_BYTES)
        except ConnectionResetError:
            return b""


class Understood:
    """The messages among what arrives; the rest is answered here, because the SDK only logs it."""

    def __init__(
        self,
        incoming: ReadStream[SessionMessage | Exception],
        outgoing: WriteStream[SessionMessage],
        line_limit: int,
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._line_limit = line_limit

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message.

        Raises:
            anyio.EndOfStream: there will be none.
        """
        while isinstance(item := await self._incoming.receive(), Exception):
            await self._outgoing.send(SessionMessage(self._refusal(item)))
        return item

    def _refusal(self, mistake: Exception) -> JSONRPCError:
        if isinstance(mistake, ValidationError) and mistake.errors()[0]["type"] != "json_invalid":
            error = ErrorData(
                code=INVALID_REQUEST, message="This is no message of JSON-RPC 2.0. Nothing was done."
            )
        else:
            error = ErrorData(
                code=PARSE_ERROR,
                message="This cannot be read. A message is JSON in UTF-8 on one line, of at most "
                f"{self._line_limit} bytes. Nothing was done.",
            )
        return JSONRPCError(jsonrpc="2.0", id=None, error=error)

    async def aclose(self) -> None:
        """Take nothing more."""
        await self._incoming.aclose()

    def __aiter__(self) -> Understood:
        """Yield message by message."""
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        """See :meth:`receive`."""
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Understood:
        """Hand over the stream."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.aclose()


class Writer:
    """Writes to a descriptor without ever blocking the process, however slowly the other end reads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def write(self, text: str) -> None:
        """Write all of it.

        Raises:
            BrokenPipeError: the other end is gone.
        """
        rest = memoryview(text.encode())
        while rest:
            with contextlib.suppress(PermissionError):
                await anyio.wait_writable(self._descriptor)
            rest = rest[os.write(self._descriptor, rest[:WRITE_BYTES]) :]

    async def flush(self) -> None:
        """Nothing is held back."""
