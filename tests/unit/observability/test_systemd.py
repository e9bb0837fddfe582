"""systemd hears that the service is ready and alive."""

from __future__ import annotations

import socket
from pathlib import Path

import anyio
import pytest

from composer_mcp.observability.systemd import Supervisor


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_the_supervisor_hears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        supervisor = Supervisor()
        supervisor.tell("READY=1")
        assert systemd.recv(100) == b"READY=1"
        async with supervisor.watchdog():
            assert await anyio.to_thread.run_sync(systemd.recv, 100) == b"WATCHDOG=1"


def test_without_a_supervisor_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Supervisor().tell("READY=1")
