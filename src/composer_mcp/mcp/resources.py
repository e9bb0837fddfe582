"""What a client can read beside calling tools: compositions, previews, templates, the element types.

Everything is read as the caller's tenant; what is another tenant's is answered word for word as what does
not exist. The list shows the caller's own compositions, page by page.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, Resource

from composer_mcp.composition import catalogue
from composer_mcp.composition.json_values import in_utc
from composer_mcp.errors import COMPOSITION_NOT_FOUND, JOB_UNKNOWN, TEMPLATE_NOT_FOUND, ComposerError
from composer_mcp.jobs.engine import JobState
from composer_mcp.jobs.requests import CompositionRead, GetComposition, GetTemplate, Preview, Template
from composer_mcp.mcp import preview_app
from composer_mcp.mcp.arguments import shown
from composer_mcp.mcp.calls import Call, run
from composer_mcp.mcp.results import in_words, sendable
from composer_mcp.mcp.views import PREVIEWS, plain
from composer_mcp.security import caller

if TYPE_CHECKING:
    from composer_mcp.mcp.server import ComposerServer
    from composer_mcp.store.compositions import CompositionRegistry

COMPOSITIONS = "composer://compositions/"
TEMPLATES = "composer://templates/"
WIDGETS = "composer://widgets"
#: These are read with the scope of get_composition; the rest is the same for everybody.
GUARDED = (COMPOSITIONS, PREVIEWS, TEMPLATES)
JSON = "application/json"
PAGE = 50
#: What names something in Composer: visible characters of ASCII, not too many.
SENDABLE = re.compile(r"[!-~]{1,2000}")


async def composition(uid: str, call: Call) -> str:
    """Read a composition as Composer keeps it: the whole document."""
    if not SENDABLE.fullmatch(uid):
        raise COMPOSITION_NOT_FOUND.error()
    record = await run(call, GetComposition(uid=uid))
    read = record.outcome()
    if not isinstance(read, CompositionRead):
        raise TypeError(f"job {record.id} returned {type(read).__name__}")
    return json.dumps(read.document, ensure_ascii=False, separators=(",", ":"))


async def preview(job_id: str, call: Call) -> bytes:
    """Read the picture that a preview took."""
    services = call.request_context.lifespan_context
    unknown = JOB_UNKNOWN.error(job_id=job_id[:100], days="some")
    try:
        identity = uuid.UUID(job_id)
    except ValueError:
        raise unknown from None
    record = await services.engine.get(caller.current.get().tenant, identity)
    result = record.outcome() if record.state is JobState.SUCCEEDED else None
    if not isinstance(result, Preview) or result.picture is None:
        raise unknown
    return await services.artifacts.get(result.picture)


async def template(template_id: str, call: Call) -> str:
    """Read a template: a lesson to fill in, or stored widgets."""
    if not SENDABLE.fullmatch(template_id):
        raise TEMPLATE_NOT_FOUND.error(template_id=shown(template_id))
    record = await run(call, GetTemplate(template_id=template_id))
    found = record.outcome()
    if not isinstance(found, Template):
        raise TypeError(f"job {record.id} returned {type(found).__name__}")
    return json.dumps(plain(found), ensure_ascii=False, separators=(",", ":"))


def widgets() -> str:
    """Read which widgets a lesson can have, in Portuguese and English."""
    types = {language: plain(catalogue.widget_types(language))["types"] for language in ("pt_BR", "en")}
    return json.dumps(types, ensure_ascii=False, separators=(",", ":"))


async def own_page(registry: CompositionRegistry, cursor: str | None) -> tuple[list[Resource], str | None]:
    """Return one page of the caller's own compositions, last changed first, and where the next one begins.

    Raises:
        MCPError: -32602; the cursor is not one of ours.
    """
    entries = await registry.search(
        caller.current.get().tenant, limit=PAGE + 1, before=_moment(cursor) if cursor else None
    )
    page = [
        Resource(
            uri=COMPOSITIONS + entry.uid,
            name=entry.title or "Sem título",
            description=entry.description[:200] or None,
            mime_type=JSON,
        )
        for entry in entries[:PAGE]
    ]
    return page, entries[PAGE - 1].updated_at.isoformat() if len(entries) > PAGE else None


def _moment(cursor: str) -> datetime:
    try:
        moment = datetime.fromisoformat(cursor)
        if moment.tzinfo is not None:
            return in_utc(moment)
    except ValueError:
        # Told below, as for any other.
        moment = None
    raise MCPError(INVALID_PARAMS, "The cursor is not one that resources/list returned.")


def refused(error: ComposerError, **facts: Any) -> MCPError:
    """Return an error of the table as an error of the protocol, for requests that are not calls of tools."""
    told = sendable(error.as_dict() | facts)
    wrong = error.code.status in range(400, 500)
    return MCPError(INVALID_PARAMS if wrong else INTERNAL_ERROR, in_words(told), told)


#: All of them, for the reference.
ADDRESSES = {
    COMPOSITIONS + "{uid}": "a composition as Composer keeps it (JSON)",
    PREVIEWS + "{job_id}": "the picture that a preview took (PNG)",
    TEMPLATES + "{+template_id}": "a template: a lesson to fill in, or stored widgets (JSON)",
    WIDGETS: "the widget types in both languages (JSON)",
    preview_app.URI: "the page that shows previews, for hosts with MCP Apps (HTML)",
}


def register(server: ComposerServer) -> None:
    """Add all resources to a server."""
    server.resource(COMPOSITIONS + "{uid}", title="Composition", mime_type=JSON)(composition)
    server.resource(PREVIEWS + "{job_id}", title="Picture of a preview", mime_type="image/png")(preview)
    server.resource(WIDGETS, title="Widget catalogue", mime_type=JSON)(widgets)
    server.resource(TEMPLATES + "{+template_id}", title="Template", mime_type=JSON)(template)
