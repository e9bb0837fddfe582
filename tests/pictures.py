"""Says how much two pictures of a page differ; used by the integration tests and by Molecule's."""

from __future__ import annotations

import struct
import zlib

#: A pixel differs when one of its colours does so by more than this, of 255: what no eye sees is passed over.
VISIBLE = 8
#: The share of a picture's pixels that may differ; docs/rendering.md promises it.
TOLERANCE = 0.001
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Unpack a PNG of eight bits a channel without interlacing: width, channels, and all its bytes."""
    assert png.startswith(SIGNATURE), f"no picture: {png[:200]!r}"
    data, place = b"", len(SIGNATURE)
    while place < len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">IIBB", png, place + 8)
        elif kind == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    channels = {2: 3, 6: 4}[colour]
    assert depth == 8
    raw, stride = zlib.decompress(data), width * channels
    lines, above = bytearray(), bytearray(stride)
    for row in range(height):
        start = row * (stride + 1)
        above = _line(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), above, channels)
        lines += above
    return width, channels, bytes(lines)


def _line(kind: int, line: bytearray, above: bytearray, step: int) -> bytearray:
    """Undo what a PNG did to a line: it says of each byte how it differs from its neighbours."""
    for place in range(len(line)) if kind else ():
        left = line[place - step] if place >= step else 0
        corner = above[place - step] if place >= step else 0
        guess = (0, left, above[place], (left + above[place]) // 2, 0)[kind]
        if kind == 4:
            near = left + above[place] - corner
            guess = min((left, above[place], corner), key=lambda value: abs(near - value))
        line[place] = (line[place] + guess) & 255
    return line


def difference(one: bytes, other: bytes) -> float:
    """Return the share of pixels with a channel that differs by more than ``VISIBLE``."""
    if one == other:
        return 0.0
    width, channels, first = pixels(one)
    others_width, others_channels, second = pixels(other)
    assert (width, channels, len(first)) == (others_width, others_channels, len(second)), "sizes differ"
    differing = {
        place // channels
        for place, (mine, yours) in enumerate(zip(first, second, strict=True))
        if abs(mine - yours) > VISIBLE
    }
    return len(differing) / (len(first) // channels)
