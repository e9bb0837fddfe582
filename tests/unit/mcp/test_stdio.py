"""Lines from a client are bounded and interruptible, and a slow client does not stop the server."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from composer_mcp.mcp.stdio import UNREADABLE, Lines, Writer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


async def lines_of(*chunks: bytes, limit: int = 20) -> list[str]:
    source, sink = os.pipe()
    try:
        found: list[str] = []

        async def read() -> None:
            async for line in Lines(source, limit):
                found.append(line)

        reading = asyncio.create_task(read())
        for chunk in chunks:
            os.write(sink, chunk)
            await asyncio.sleep(0.01)
        os.close(sink)
        await asyncio.wait_for(reading, 5)
        return found
    finally:
        os.close(source)


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"o", b"ne\nt", b"wo"], ["one", "two"]),
        ([], []),
        ([b"\n \n\r\n"], []),
        (["água\n".encode()], ["água"]),
        ([b"\xc3", b"\xa1\n"], ["á"]),
        ([b"\xff\nok\n"], [UNREADABLE, "ok"]),
        ([b"x" * 20 + b"\nok\n"], ["x" * 20, "ok"]),
        ([b"x" * 21 + b"\nok\n"], [UNREADABLE, "ok"]),
        ([b"x" * 15, b"x" * 15, b"x" * 500, b"\nok\n"], [UNREADABLE, "ok"]),
        ([b"x" * 500, b"x\n", b"ok\n"], [UNREADABLE, "ok"]),
        ([b"x" * 500], [UNREADABLE]),
        ([b"x" * 500, b"x"], [UNREADABLE]),
    ],
)
async def test_lines_are_read_however_they_arrive_and_what_can_be_none_is_marked(
    chunks: list[bytes], lines: list[str]
) -> None:
    assert await lines_of(*chunks) == lines


async def test_a_file_can_be_the_client(tmp_path: Path) -> None:
    (tmp_path / "calls").write_bytes(b"one\ntwo")
    with (tmp_path / "calls").open("rb") as calls:
        assert [line async for line in Lines(calls.fileno(), 20)] == ["one", "two"]
    with (tmp_path / "answers").open("wb") as answers:
        await Writer(answers.fileno()).write("x" * 10_000)
    assert (tmp_path / "answers").read_bytes() == b"x" * 10_000


async def test_waiting_for_a_client_can_be_interrupted(pipe: tuple[int, int]) -> None:
    async def read() -> None:
        async for _ in Lines(pipe[0], 20):
            raise AssertionError("nothing was sent")

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    began = time.monotonic()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert reading.cancelled() and time.monotonic() - began < 1


async def test_a_client_that_reads_slowly_stops_nobody_else(pipe: tuple[int, int]) -> None:
    text = "x" * 1_000_000
    writing = asyncio.create_task(Writer(pipe[1]).write(text))
    received = b""
    while len(received) < len(text):
        # The loop is free while the pipe is full.
        await asyncio.wait_for(asyncio.sleep(0.0005), 1)
        received += os.read(pipe[0], 65536)
    await asyncio.wait_for(writing, 5)
    assert received == text.encode()


async def test_writing_to_a_client_that_does_not_read_can_be_interrupted(pipe: tuple[int, int]) -> None:
    writing = asyncio.create_task(Writer(pipe[1]).write("x" * 1_000_000))
    await asyncio.sleep(0.05)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert writing.cancelled()


async def test_a_client_that_has_left_is_noticed(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        await Writer(pipe[1]).write("too late")
