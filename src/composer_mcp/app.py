"""The web application: MCP endpoint, resource metadata, health, metrics; never touches a browser."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import asyncpg
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import composer_mcp
from composer_mcp.jobs.postgres_engine import PostgresJobEngine
from composer_mcp.mcp import server as mcp_server
from composer_mcp.mcp.gate import METADATA_PATH, METHODS, SESSION_METHODS, Gate
from composer_mcp.mcp.services import Services
from composer_mcp.observability import metrics
from composer_mcp.observability.access import AccessLog
from composer_mcp.security.caller import SCOPES
from composer_mcp.security.tokens import TokenVerifier
from composer_mcp.store import database, migrate
from composer_mcp.store.artifacts import ArtifactStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server import MCPServer
    from starlette.types import ASGIApp

    from composer_mcp.settings import Credentials, Settings

READY_SECONDS = 2.0
#: Of clients before 2026, where there are sessions; each costs memory until it ends or is idle for long.
SESSION_LIMIT = 1000
DEPTH = "select state, count(*) as jobs from job where state in ('queued', 'running') group by state"


def create(
    settings: Settings,
    credentials: Credentials,
    *,
    require_tls: bool = False,
    extend: Callable[[mcp_server.ComposerServer], None] | None = None,
) -> ASGIApp:
    """Build the application; connections are opened when the server starts it.

    ``extend`` may add to the MCP server before it is served. No command of ours uses it; the tests do, to
    serve what third-party test suites call by name behind the same doors as everything else.

    Raises:
        ConfigurationError: a secret or a certificate authority is missing.
    """
    options = database.connection_options(
        settings.postgresql, credentials.read("database-password"), application="composer-mcp web"
    )
    artifacts = ArtifactStore.open(settings.object_store, credentials)
    verifier = TokenVerifier(settings.issuers)
    state = _State(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_server: MCPServer[Services]) -> AsyncIterator[Services]:
        async with PostgresJobEngine.open(settings, options) as engine:
            state.pool = engine.pool
            try:
                yield Services(engine, artifacts)
            finally:
                await verifier.close()

    server = mcp_server.build(lifespan)
    if extend is not None:
        extend(server)
    server.custom_route("/health/live", ["GET"])(state.live)
    server.custom_route("/health/ready", ["GET"])(state.ready)
    server.custom_route("/metrics", ["GET"])(state.metrics)
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
        endpoint,
        verifier,
        settings.public_url,
        settings.web.body_limit_bytes,
        methods=SESSION_METHODS if settings.web.sessions else METHODS,
    )
    return AccessLog(gate, require_tls=require_tls)


class _State:
    """What the plain HTTP routes need."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.pool: asyncpg.Pool | None = None

    async def live(self, _request: Request) -> Response:
        """Say that the process answers, whatever else is wrong."""
        return JSONResponse({"live": True, "version": composer_mcp.__version__})

    async def ready(self, _request: Request) -> Response:
        """Say whether calls can be served now, and if not, why."""
        reasons = []
        drain_file = self._settings.web.drain_file
        if drain_file is not None and drain_file.exists():
            reasons.append(f"draining: {drain_file} exists")
        reason = await self._database_problem()
        if reason is not None:
            reasons.append(reason)
        content = {"ready": not reasons, "reasons": reasons, "slot": self._settings.web.slot}
        return JSONResponse(content, 503 if reasons else 200)

    async def _database_problem(self) -> str | None:
        if self.pool is None:
            return "starting"
        needed = migrate.known()[-1].version
        try:
            async with asyncio.timeout(READY_SECONDS):
                version = await migrate.schema_version(self.pool)
        except (*database.UNREACHABLE, asyncpg.PostgresError) as error:
            return f"database: {type(error).__name__}: {error}"
        if version < needed:
            return (
                f"database: schema version {version}, this release needs {needed}; run composer-mcp migrate"
            )
        return None

    async def metrics(self, _request: Request) -> Response:
        """Return the figures of all processes of this host, and the depth of the queue."""
        depth: dict[str, int] | None = None
        if self.pool is not None:
            with contextlib.suppress(*database.UNREACHABLE):
                async with asyncio.timeout(READY_SECONDS):
                    rows = await self.pool.fetch(DEPTH)
                depth = {"queued": 0, "running": 0} | {row["state"]: row["jobs"] for row in rows}
        page, media_type = metrics.render(depth)
        return Response(page, media_type=media_type)

    async def resource_metadata(self, _request: Request) -> Response:
        """Tell a client without a token where to get one (RFC 9728)."""
        content: dict[str, Any] = {
            "resource": self._settings.public_url,
            "authorization_servers": [issuer.issuer for issuer in self._settings.issuers],
            "scopes_supported": sorted(set(SCOPES.values())),
            "bearer_methods_supported": ["header"],
            "resource_name": "EuConquisto Composer MCP server",
        }
        return JSONResponse(
            content, headers={"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
        )
