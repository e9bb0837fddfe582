"""A server that runs alone: its configuration, its secrets, and the ways in which a user starts it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from .processes import Process, free_port, run

CLI = str(Path(sys.executable).with_name("composer-mcp"))


class Alone:
    """Files and processes of one test; ``composer`` and ``browser`` are sections of the configuration."""

    def __init__(
        self, folder: Path, composer: dict[str, Any], browser: dict[str, Any], secrets: dict[str, str]
    ) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "config.toml"
        self.log = folder / "log"
        self.port = free_port()
        self._processes: list[Process] = []
        self.state.mkdir(mode=0o700)
        credentials = self.state / "credentials"
        credentials.mkdir()
        for name, value in secrets.items():
            (credentials / name).write_text(value + "\n")
        self.configure(composer=composer, browser=browser)

    def configure(self, **sections: dict[str, Any]) -> None:
        """Write the configuration."""
        lines = [f"state_directory = {json.dumps(str(self.state))}"]
        for section, values in sections.items():
            lines.append(f"[{section}]")
            lines += [f"{name} = {json.dumps(value, default=str)}" for name, value in values.items()]
        self.config.write_text("\n".join(lines) + "\n")

    def arguments(self, *words: str) -> list[str]:
        return [*words, "--config", str(self.config)]

    def run(self, *words: str) -> str:
        """Run a command to its end and return what it said."""
        return run([CLI, *self.arguments(*words)])

    @property
    def process(self) -> int:
        """The process that has the state directory."""
        return int((self.state / "lock").read_text().removeprefix("process "))

    @contextlib.asynccontextmanager
    async def stdio(self, mode: str = "auto", **client: Any) -> AsyncIterator[Client]:
        """Start it as a client does, and connect; ``client`` goes to the SDK's client."""
        server = StdioServerParameters(command=CLI, args=self.arguments("stdio"))
        with self.log.open("a") as log:
            async with Client(stdio_client(server, errlog=log), mode=mode, **client) as connection:
                yield connection

    def serve(self) -> Process:
        """Start it for HTTP and wait until it answers."""
        process = Process([CLI, *self.arguments("serve", "--bind", f"127.0.0.1:{self.port}")])
        self._processes.append(process)
        process.wait_for("web.ready")
        return process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def http(self, token: str, mode: str = "auto") -> AsyncIterator[Client]:
        """Connect to what :meth:`serve` started."""
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http), mode=mode) as client,
        ):
            yield client

    def stop(self) -> None:
        for process in self._processes:
            process.stop()
