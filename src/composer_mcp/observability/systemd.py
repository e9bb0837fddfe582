"""Tells systemd that the service is ready, stopping and alive; does nothing elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator


class Supervisor:
    """The service manager that started this process, if any."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET")
        self._watchdog_seconds = int(os.environ.get("WATCHDOG_USEC", "0")) / 1_000_000

    def tell(self, message: str) -> None:
        """Send one message, such as ``READY=1``."""
        if self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(message.encode(), address)

    @contextlib.asynccontextmanager
    async def watchdog(self) -> AsyncIterator[None]:
        """Give signs of life from the event loop, so that a blocked loop is noticed and restarted."""

        async def live() -> None:
            while True:
                self.tell("WATCHDOG=1")
                await asyncio.sleep(self._watchdog_seconds / 3)

        if not self._watchdog_seconds:
            yield
            return
        task = asyncio.create_task(live())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
