"""One installation of the server: configuration, secrets, and processes as an operator would start them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from composer_mcp.settings import Credentials, Settings, load

from .authority import Authority
from .issuer import Issuer
from .postgres import OWNER_PASSWORD, PASSWORD, Postgres
from .processes import Process, free_port, run

PUBLIC_URL = "https://composer.lab.test/mcp"
CLI = [str(Path(sys.executable).with_name("composer-mcp"))]


class Platform:
    """Files and processes of one test."""

    def __init__(
        self,
        folder: Path,
        postgres: Postgres,
        issuer: Issuer,
        authority: Authority,
        database: str,
        *,
        migrated: bool = False,
    ) -> None:
        """``migrated`` says that the database has its tables already."""
        self.folder = folder
        self.postgres = postgres
        self.issuer = issuer
        self.authority = authority
        self.database = database
        self.credentials = folder / "credentials"
        self.config = folder / "config.toml"
        self.drain_file = folder / "drain"
        self.tame = folder / "tame"
        self.port = free_port()
        self._processes: list[Process] = []
        self._gates: dict[str, int] = {}
        self.tame.mkdir()
        self.credentials.mkdir(mode=0o700)
        for name, value in {
            "database-password": PASSWORD,
            "database-owner-password": OWNER_PASSWORD,
            "state-key": "key-that-seals-what-clients-carry-in-tests",
            "audit-key": "key-with-which-the-audit-trail-of-tests-is-chained",
            "composer-token": "header.payload.signature",
            "composer-project-key": "0" * 32,
        }.items():
            (self.credentials / name).write_text(value + "\n")
        self.configure()
        if not migrated:
            self.run("migrate")

    def configure(self, **sections: dict[str, Any]) -> None:
        """Write the configuration; ``sections`` add to the usual one."""
        usual: dict[str, dict[str, Any]] = {
            "web": {"workers": 1, "drain_file": self.drain_file},
            "database": {
                "hosts": [f"localhost:{self.postgres.port}"],
                "name": self.database,
                "authority": self.postgres.authority,
            },
            "object_store": {"url": f"file://{self.folder}/artifacts"},
            "composer": {"project_uid": "project", "connector_uid": "connector"},
            "metrics": {"directory": self.folder / "metrics"},
        }
        issuer = sections.pop("issuer", None) or {
            "issuer": self.issuer.url,
            "jwks_url": f"{self.issuer.url}/keys",
            "authority": self.issuer.authority,
            "audience": PUBLIC_URL,
        }
        lines = [
            f"public_url = {_toml(PUBLIC_URL)}",
            f"allowed_hosts = {_toml([f'127.0.0.1:{self.port}', f'localhost:{self.port}'])}",
            "[[issuers]]",
            *(f"{name} = {_toml(value)}" for name, value in issuer.items()),
        ]
        for section in usual | sections:
            lines.append(f"[{section}]")
            values = usual.get(section, {}) | sections.get(section, {})
            lines += [f"{name} = {_toml(value)}" for name, value in values.items()]
        self.config.write_text("\n".join(lines) + "\n")

    @property
    def settings(self) -> Settings:
        return load(self.config)

    @property
    def secrets(self) -> Credentials:
        return Credentials(self.credentials)

    def command(self, *arguments: str) -> list[str]:
        return [*CLI, *arguments, "--config", str(self.config), "--credentials", str(self.credentials)]

    def run(self, *arguments: str) -> str:
        return run(self.command(*arguments))

    def start(self, command: list[str], ready: str, **environment: str) -> Process:
        process = Process(command, environment=environment)
        self._processes.append(process)
        process.wait_for(ready)
        return process

    def start_web(self) -> Process:
        """Start the web without encryption and wait until it answers."""
        bind = f"127.0.0.1:{self.port}"
        return self.start(self.command("serve", "--plain-text", "--bind", bind), "ASGI server listening")

    def start_worker(self) -> Process:
        """Start a real worker with a browser."""
        return self.start(self.command("worker"), "worker.ready")

    def start_tame_worker(self) -> Process:
        """Start a worker that does tame work (see ``tame_worker``)."""
        return self.start(self.tame_worker_command(), "worker.ready", TAME_FOLDER=str(self.tame))

    def tame_worker_command(self) -> list[str]:
        program = str(Path(__file__).with_name("tame_worker.py"))
        return [sys.executable, "-P", program, str(self.config), str(self.credentials)]

    def hold(self, name: str) -> str:
        """Return the uid for a tame job that goes on only when it is released."""
        path = self.tame / name
        os.mkfifo(path)
        self._gates[name] = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        return f"hold-{name}"

    def release(self, name: str, jobs: int = 1) -> None:
        """Let so many held jobs of that name go on."""
        os.write(self._gates[name], b"x" * jobs)

    def sql(self, statement: str) -> str:
        return self.postgres.sql(self.database, statement)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @contextlib.asynccontextmanager
    async def client(
        self, token: str | None = None, mode: str = "auto", **options: Any
    ) -> AsyncIterator[Client]:
        """Connect as a user would; ``options`` are the client's own."""
        headers = {"Authorization": f"Bearer {token or self.issuer.token()}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=mode, **options) as client,
        ):
            yield client

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.stop()
        for descriptor in self._gates.values():
            os.close(descriptor)


def _toml(value: Any) -> str:
    """Write one value; JSON's notation of texts, numbers and lists is TOML's too."""
    return json.dumps(value, default=str)


def error_of(result: CallToolResult) -> dict[str, Any]:
    """Return the error that a tool reported."""
    assert result.is_error, result
    error: dict[str, Any] = result.structured_content["error"]
    return error


def text_of(result: CallToolResult) -> str:
    """Return what a tool answered, for messages."""
    return json.dumps(result.model_dump(mode="json"))[:2000]
