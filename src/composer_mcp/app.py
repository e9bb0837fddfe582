"""The web application: MCP endpoint, resource metadata, health, metrics, pressure."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import composer_mcp
from composer_mcp import backends
from composer_mcp.admin.app import AdminApi
from composer_mcp.alone.defaults import LOCAL_ISSUER
from composer_mcp.audit.requests import Witness
from composer_mcp.mcp import server as mcp_server
from composer_mcp.mcp.gate import METHODS, SESSION_METHODS, Gate
from composer_mcp.mcp.services import Services
from composer_mcp.observability import metrics
from composer_mcp.observability.access import AccessLog
from composer_mcp.observability.masking import redact
from composer_mcp.observability.pressure import Bounds, Pressure
from composer_mcp.security.access import Access
from composer_mcp.security.door import METADATA_PATH, Door
from composer_mcp.security.roles import TOOLS
from composer_mcp.security.tokens import TokenVerifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server import MCPServer
    from starlette.types import ASGIApp

    from composer_mcp.settings import Credentials, Settings

#: Of clients before 2026, where there are sessions; each costs memory until it ends or is idle for long.
SESSION_LIMIT = 1000
DRAIN_LOOK_SECONDS = 0.5


def create(
    settings: Settings,
    credentials: Credentials,
    *,
    require_tls: bool = False,
    backend: backends.Backend | None = None,
    extend: Callable[[mcp_server.ComposerServer], None] | None = None,
    stop: asyncio.Event | None = None,
) -> ASGIApp:
    """Build the application; connections are opened when the server starts it.

    ``backend`` is what stands behind it; chosen by the configuration when left out. Whoever runs the
    application sets ``stop`` when it is about to end, so that open streams do not keep it.

    ``extend`` may add to the MCP server before it is served. No command of ours uses it; the tests do, to
    serve what third-party test suites call by name behind the same doors as everything else.

    Raises:
        ConfigurationError: a secret or a certificate authority is missing.
    """
    behind = backend or backends.choose(settings, credentials)
    access = Access(settings.access.accounts)
    verifier = TokenVerifier(settings.issuers, access=access)
    pressure = Pressure(behind.queue, Bounds(settings.queue.total_limit, settings.queue.deadline_seconds))
    # With encryption, certificates let in nobody but our edges, who say where a request came from.
    witness = Witness(behind_edge=require_tls)
    state = _State(settings, behind, pressure, witness)
    ending = stop or asyncio.Event()
    door = Door(verifier, settings.public_url, settings.web.body_limit_bytes, witness)
    admin = AdminApi(door, [issuer.issuer for issuer in settings.issuers])

    @contextlib.asynccontextmanager
    async def lifespan(_server: MCPServer[Services]) -> AsyncIterator[Services]:
        async with (
            behind.open() as services,
            witness.recording(services.audit),
            access.following(services.accounts),
            _draining(state.draining, ending, services.stopping),
            pressure.watching(),
        ):
            admin.serve(services)
            try:
                yield services
            finally:
                await verifier.close()

    server = mcp_server.build(lifespan, state_keys=behind.state_keys)
    if extend is not None:
        extend(server)
    server.custom_route("/health/live", ["GET"])(state.live)
    server.custom_route("/health/ready", ["GET"])(state.ready)
    server.custom_route("/metrics", ["GET"])(state.metrics)
    server.custom_route("/pressure", ["GET"])(state.pressure)
    server.custom_route(METADATA_PATH, ["GET"])(state.resource_metadata)
    endpoint = server.streamable_http_app(
        stateless_http=not settings.web.sessions,
        max_sessions=SESSION_LIMIT,
        max_request_body_size=settings.web.body_limit_bytes,
        transport_security=TransportSecuritySettings(
            allowed_hosts=settings.allowed_hosts, allowed_origins=settings.allowed_origins
        ),
    )
    gate = Gate(
        # Not by way of the routes around it: the gate has looked at method and path already.
        StreamableHTTPASGIApp(server.session_manager),
        door,
        beside=admin.beside(endpoint),
        methods=SESSION_METHODS if settings.web.sessions else METHODS,
    )
    return AccessLog(gate, require_tls=require_tls)


@contextlib.asynccontextmanager
async def _draining(
    told: Callable[[], bool], ending: asyncio.Event, stopping: asyncio.Event
) -> AsyncIterator[None]:
    """Have ``stopping`` set while the process is drained or ends: open streams would keep it from stopping.

    Nobody else sets or clears it.
    """

    async def look() -> None:
        while not ending.is_set():
            if told():
                stopping.set()
            else:
                stopping.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_LOOK_SECONDS):
                    await ending.wait()
        stopping.set()

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        stopping.set()


class _State:
    """What the plain HTTP routes need."""

    def __init__(
        self, settings: Settings, backend: backends.Backend, pressure: Pressure, witness: Witness
    ) -> None:
        self._witness = witness
        self._settings = settings
        self._backend = backend
        self._pressure = pressure

    def draining(self) -> bool:
        """Whether the operator has taken this process out of service."""
        drain_file = self._settings.web.drain_file
        return drain_file is not None and drain_file.exists()

    async def live(self, _request: Request) -> Response:
        """Say that the process answers, whatever else is wrong."""
        return JSONResponse({"live": True, "version": composer_mcp.__version__})

    async def ready(self, _request: Request) -> Response:
        """Say whether calls can be served now, and if not, or only after a wait, why."""
        reasons = []
        if self.draining():
            reasons.append(f"draining: {self._settings.web.drain_file} exists")
        if self._witness.problem is not None:
            reasons.append(self._witness.problem)
        problem = await self._backend.problem()
        ready = not reasons and (problem is None or problem.passing)
        if problem is not None:
            # Anybody may ask, and drivers say much.
            reasons.append(redact(problem.reason))
        content = {"ready": ready, "reasons": reasons, "slot": self._settings.web.slot}
        return JSONResponse(content, 200 if ready else 503)

    async def metrics(self, _request: Request) -> Response:
        """Return the figures of all processes of this host, and those of the queue."""
        page, media_type = metrics.render(await self._pressure.queue())
        return Response(page, media_type=media_type)

    async def pressure(self, _request: Request) -> Response:
        """Say how hard this host works, and what share of the calls it should get."""
        return JSONResponse(await self._pressure.now())

    async def resource_metadata(self, _request: Request) -> Response:
        """Tell a client without a token where to get one (RFC 9728)."""
        content: dict[str, Any] = {
            "resource": self._settings.public_url,
            # Nobody can ask the local issuer over the network; its tokens are made on the command line.
            "authorization_servers": [
                issuer.issuer for issuer in self._settings.issuers if issuer.issuer != LOCAL_ISSUER
            ],
            # Clients ask their issuer for all of these: what administrators need is not for everybody to ask.
            "scopes_supported": sorted(TOOLS),
            "bearer_methods_supported": ["header"],
            "resource_name": "EuConquisto Composer MCP server",
        }
        return JSONResponse(
            content, headers={"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
        )
