"""A pytest plugin (`-p tools.testrun.workers`): workers have time to take their fixtures down after Ctrl-C.

They hear Ctrl-C themselves. But pytest-xdist would interrupt them again 5 seconds later, in the middle of
that, and end them after 10; databases and browsers would be left running.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest

# Less than the test runner waits before it insists.
PATIENCE_SECONDS = 50.0


def pytest_configure(config: pytest.Config) -> None:
    """Keep an eye on workers, where they are started."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Workers(), "testrun-workers")


class _Workers:
    def __init__(self) -> None:
        self._channels: list[Any] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        """A worker began; its channel is closed when its session has ended."""
        self._channels.append(node.channel)

    @pytest.hookimpl
    def pytest_keyboard_interrupt(self) -> None:
        """Wait until each has ended its session, or died."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        for channel in self._channels:
            with suppress(OSError, channel.RemoteError):
                channel.waitclose(max(0.0, give_up - time.monotonic()))
