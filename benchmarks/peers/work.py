"""What a task does in every server of the tasks bench: note its start where that is asked for, and wait."""

from __future__ import annotations

import asyncio
import os
import time


def _note(label: str) -> None:
    """Write a line to the file $STARTS, with process and moment; nothing for the label ``x``."""
    if label != "x":
        line = f"{label} {os.getpid()} {time.monotonic()}\n".encode()
        file = os.open(os.environ["STARTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, line)
        os.close(file)


async def work(label: str, milliseconds: int) -> int:
    """Do it, and note its start; and its end, as ``LABEL.stopped``, where it is cancelled."""
    _note(label)
    if milliseconds:
        try:
            await asyncio.sleep(milliseconds / 1000)
        except asyncio.CancelledError:
            _note(f"{label}.stopped")
            raise
    return milliseconds
