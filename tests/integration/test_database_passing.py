"""What the driver says of a connection that is about to end passes, and the call is repeated on another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from composer_mcp.settings import DatabaseSettings
from composer_mcp.store import database
from composer_mcp.store.patience import patiently

from .support.postgres import Postgres

pytestmark = pytest.mark.anyio
LIMIT_SECONDS = 20
#: Of the event loop, until what lies in the socket has been read.
ROUNDS = 20


class Relay:
    """Stands between a client and the server, and keeps from the client that the server has hung up."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self.may_end = asyncio.Event()
        self.ended = asyncio.Event()
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Relay]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.may_end.set()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(str(self._socket))
        upwards = asyncio.create_task(_pass_on(reader, to_server))
        await _pass_on(from_server, writer)
        self.ended.set()
        await self.may_end.wait()
        upwards.cancel()
        for one in (writer, to_server):
            one.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def test_a_connection_whose_end_is_not_known_yet_costs_no_call(postgres: Postgres) -> None:
    async with asyncio.timeout(LIMIT_SECONDS), Relay(postgres.socket).running() as relay:
        settings = DatabaseSettings(hosts=[f"127.0.0.1:{relay.port}"], name="postgres", user="postgres")
        options = database.connection_options(settings, SecretStr(""), application="test")
        async with database.pool(options, size=1) as pool:
            pid = await pool.fetchval("select pg_backend_pid()")
            # To whoever waits for nothing, the server says why it hangs up before it does.
            postgres.sql("postgres", f"select pg_terminate_backend({pid})")
            await relay.ended.wait()
            for _ in range(ROUNDS):
                await asyncio.sleep(0)
            said: list[Exception] = []

            async def ask() -> int:
                try:
                    return int(await pool.fetchval("select 1"))
                except Exception as error:
                    said.append(error)
                    raise

            assert await patiently(ask, "") == 1
            assert [type(error) for error in said] == [asyncpg.InternalClientError]
            relay.may_end.set()
