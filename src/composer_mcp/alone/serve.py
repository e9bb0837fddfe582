"""Runs a server alone, in this one process: over HTTP for this machine, or on standard input and output.

How it ends matters as much as how it runs: the browser goes with it, whoever asked and however.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn

from composer_mcp.alone.backend import Alone
from composer_mcp.mcp import server as mcp_server
from composer_mcp.mcp import stdio
from composer_mcp.observability import logs, process
from composer_mcp.observability.access import correlation_id
from composer_mcp.security import caller
from composer_mcp.settings import ConfigurationError

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

    from composer_mcp.backends import Backend
    from composer_mcp.mcp.services import Services
    from composer_mcp.settings import Credentials, Settings

#: Answers under way when the process is told to end; their jobs get a little longer.
ANSWER_SECONDS = 2
#: By then everything is closed, or will never be. Without us, Chromium ends by itself.
LAST_RESORT_SECONDS = 20.0
BROKEN = (
    "jobs could no longer be done, as the log says (engine.ended), so the process has ended. What was "
    "accepted is kept, and done when it is started again."
)

log = structlog.get_logger(__name__)


async def serve_stdio(settings: Settings, credentials: Credentials) -> str | None:
    """Answer the client that started this process, until it closes its end, SIGTERM or SIGINT.

    Returns why it had to end without any of these; a new process may be able to go on.

    Whoever can start the process may do everything: the caller is the local user with all scopes.

    Raises:
        ConfigurationError: a secret is missing, or the state directory cannot be used.
    """
    process.tell_others(settings, credentials, "composer-alone")
    stop = _stop_on_signals()
    backend = Alone(settings, credentials)
    async with backend.open() as services:

        @contextlib.asynccontextmanager
        async def lifespan(_server: MCPServer[Services]) -> AsyncIterator[Services]:
            yield services

        server = mcp_server.build(lifespan, state_keys=backend.state_keys)
        server.middleware.insert(0, _identified)
        caller.current.set(caller.local_user())
        log.info("stdio.ready")
        serving = asyncio.create_task(stdio.serve(server, line_limit=settings.web.body_limit_bytes))
        why = await _first(serving, signal=stop, broken=backend.broken)
        log.info("stdio.ending", reason=why or "the client left")
        _end_for_certain()
        services.stopping.set()
        serving.cancel()
        (outcome,) = await asyncio.gather(serving, return_exceptions=True)
        if isinstance(outcome, Exception) and not _only_broken_pipes(outcome):
            raise outcome
        return BROKEN if why == "broken" else None


async def _identified(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Give each call what the HTTP layer gives it otherwise: an id that its log lines and its job share."""
    correlation_id.set(uuid.uuid4().hex)
    logs.about.set({"correlation_id": correlation_id.get()})
    return await call_next(ctx)


def _only_broken_pipes(error: BaseException) -> bool:
    """Whether all that happened is that the client went away while it was answered."""
    if isinstance(error, BaseExceptionGroup):
        return all(_only_broken_pipes(each) for each in error.exceptions)
    return isinstance(error, BrokenPipeError)


async def serve_http(settings: Settings, credentials: Credentials, bind: str) -> str | None:
    """Answer on one address of this machine until SIGTERM or SIGINT.

    Returns why it had to end without either; a new process may be able to go on.

    Raises:
        ConfigurationError: the address is in use, a secret is missing, or the state directory cannot be used.
    """
    # Here and not above: a client that starts the server itself waits for it, and needs no web.
    from composer_mcp import app

    process.tell_others(settings, credentials, "composer-alone")
    stop = _stop_on_signals()
    # Opened before anything else, so that what is wrong is told in words and not as a traceback.
    with _listening(bind) as listener:
        behind = Alone(settings, credentials)
        backend = _Opened(behind)
        ending = asyncio.Event()
        async with backend.opened():
            config = uvicorn.Config(
                app.create(settings, credentials, backend=backend, stop=ending),
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                # Nobody may tell us through a header where a request came from.
                proxy_headers=False,
                timeout_keep_alive=settings.web.keep_alive_seconds,
                timeout_graceful_shutdown=ANSWER_SECONDS,
            )
            server = _Server(config, settings)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            why = await _first(serving, signal=stop, broken=behind.broken)
            log.info("web.ending", reason=why)
            _end_for_certain()
            ending.set()
            server.should_exit = True
            await serving
            return BROKEN if why == "broken" else None


async def _first(serving: asyncio.Task[None], **events: asyncio.Event) -> str | None:
    """Return the name of the event that happened first; ``None`` if it was the end of ``serving``."""
    waiting = {name: asyncio.create_task(event.wait()) for name, event in events.items()}
    await asyncio.wait({serving, *waiting.values()}, return_when=asyncio.FIRST_COMPLETED)
    happened = next((name for name, task in waiting.items() if task.done()), None)
    for task in waiting.values():
        task.cancel()
    await asyncio.gather(*waiting.values(), return_exceptions=True)
    return happened


class _Server(uvicorn.Server):
    """Leaves signals to us, because they also stop the jobs, and says when it answers."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        log.info("web.ready", url=self._settings.public_url, state_directory=str(self._settings.state))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


class _Opened:
    """A backend that we open and the application uses: it would open it too late to say what is wrong."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.state_keys = backend.state_keys
        self.problem = backend.problem
        self.queue = backend.queue

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open it for as long as the context lasts."""
        async with self._backend.open() as self.services:
            yield

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Services]:
        """See :class:`~composer_mcp.backends.Backend`."""
        yield self.services


@contextlib.contextmanager
def _listening(bind: str) -> Iterator[socket.socket]:
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host.strip("[]"), int(port)))
        except (OSError, OverflowError, ValueError) as error:
            raise ConfigurationError(
                f"nothing can be served at {bind}: {error}. Name another address with --bind, "
                "such as 127.0.0.1:8111. Nothing was started."
            ) from error
        yield listener


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _end_for_certain() -> None:
    """See that the process ends even if something cannot be closed."""

    def end() -> None:
        log.error("process.ended_without_closing", seconds=LAST_RESORT_SECONDS)
        os._exit(1)

    timer = threading.Timer(LAST_RESORT_SECONDS, end)
    timer.daemon = True
    timer.start()
