"""MCP over standard input and output: the transport for a client that starts this program itself.

The SDK has one too, but it reads in a thread, which nothing can interrupt: a process told to end would wait
for the client's next message. It also takes lines of any length. What speaks the protocol is the SDK's.
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

if TYPE_CHECKING:
    from composer_mcp.mcp.server import ComposerServer

READ_BYTES = 64 * 1024
#: What a pipe that is ready takes at once, whatever is in it (POSIX: PIPE_BUF, 4096 on Linux).
WRITE_BYTES = 4096

log = structlog.get_logger(__name__)


async def serve(server: ComposerServer, *, line_limit: int) -> None:
    """Answer the client until it closes its end, or until cancelled.

    A message of more than ``line_limit`` bytes is answered as one that cannot be parsed.
    """
    with _wire() as (source, sink):
        lines, writer = Lines(source, line_limit), Writer(sink)
        # The SDK asks for files of anyio and uses of them what these have.
        async with stdio_server(
            cast("anyio.AsyncFile[str]", lines), cast("anyio.AsyncFile[str]", writer)
        ) as streams:
            await server.serve_streams(*streams)


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
    """The lines that arrive at a descriptor, each of bounded length."""

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
                if skipping or len(buffer) > self._limit:
                    log.warning("stdio.message_too_long", limit=self._limit)
                    yield ""
                else:
                    yield buffer.decode("utf-8", "replace")
                buffer.clear()
                skipping = False
            buffer += rest
            if len(buffer) > self._limit:
                skipping = True
                buffer.clear()
        if buffer:
            yield buffer.decode("utf-8", "replace")

    async def _read(self) -> bytes:
        # A file is always ready, and the system refuses to wait for it.
        with contextlib.suppress(PermissionError):
            await anyio.wait_readable(self._descriptor)
        try:
            return os.read(self._descriptor, READ_BYTES)
        except ConnectionResetError:
            return b""


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
