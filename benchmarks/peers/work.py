"""What a task does in every server of the tasks bench: note its start where that is asked for, and wait."""

from __future__ import annotations

import asyncio
import os
import time


async def work(label: str, milliseconds: int) -> int:
    """Do it; a label other than ``x`` is written to the file $STARTS, with process and time of the start."""
    if label != "x":
        line = f"{label} {os.getpid()} {time.monotonic()}\n".encode()
        file = os.open(os.environ["STARTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, line)
        os.close(file)
    if milliseconds:
        await asyncio.sleep(milliseconds / 1000)
    return milliseconds
