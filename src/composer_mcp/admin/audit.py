"""The audit trail over HTTP: entries, one entry, and where the chain stands.

Verifying it is a command (``composer-mcp audit verify``): whoever does so must not have to trust this
server.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from composer_mcp.admin.access import Opened, Problem, requires
from composer_mcp.audit.reading import as_dict
from composer_mcp.audit.store import Filter
from composer_mcp.security.caller import Caller

router = APIRouter(prefix="/audit", tags=["audit"])
Auditor = Annotated[Caller, requires("audit:read")]
PAGE_LIMIT = 500


class Recorded(BaseModel):
    """One entry of the trail."""

    number: int = Field(description="its place in the chain")
    at: datetime
    tenant: str = Field(description="empty where none is concerned")
    actor: str = Field(description="issuer and subject of a token, or cli:user@host, or worker:host")
    action: str
    target: str = Field(description="what it was done to")
    outcome: str = Field(description="ok, begun, accepted, or the code of an error")
    source: str = Field(description="address of the client")
    correlation_id: str = Field(description="the same in all entries and log lines of one call")
    details: dict[str, Any] = {}
    hash: str = Field(description="keyed hash over this entry and the one before it, hexadecimal")


class Page(BaseModel):
    """Entries, newest first."""

    entries: list[Recorded]
    before: int | None = Field(description="asks for the next page; null if this was the last")


class Standing(BaseModel):
    """Where the chain stands; what an auditor keeps elsewhere."""

    checkpoint: str = Field(description="for composer-mcp audit verify --against")
    number: int
    hash: str


class Wanted(BaseModel):
    """Which entries are asked for."""

    model_config = ConfigDict(extra="forbid")

    since: datetime | None = None
    until: datetime | None = None
    tenant: str | None = Field(None, max_length=200)
    actor: str | None = Field(None, max_length=400, description="may end with *")
    action: str | None = Field(None, max_length=120, description="may end with *")
    outcome: str | None = Field(None, max_length=80)
    correlation_id: str | None = Field(None, max_length=128)
    before: int | None = Field(None, ge=1, le=2**62, description="only entries with lower numbers")
    limit: int = Field(100, ge=1, le=PAGE_LIMIT)


@router.get("/entries", response_model=Page)
async def entries(wanted: Annotated[Wanted, Query()], services: Opened, _who: Auditor) -> dict[str, Any]:
    """List entries of all tenants, newest first."""
    which = Filter(
        _aware(wanted.since),
        _aware(wanted.until),
        wanted.tenant,
        wanted.actor,
        wanted.action,
        wanted.outcome,
        wanted.correlation_id,
        wanted.before,
    )
    rows = await services.audit.entries(which, wanted.limit)
    full = len(rows) == wanted.limit
    return {"entries": [as_dict(row) for row in rows], "before": rows[-1].number if full else None}


@router.get(
    "/entries/{number}",
    response_model=Recorded,
    responses={404: {"model": Problem}},
)
async def one(number: int, services: Opened, _who: Auditor) -> dict[str, Any]:
    """Show one entry."""
    # Beyond what a database counts, there is none either.
    return as_dict(await services.audit.entry(min(max(number, 0), 2**62)))


@router.get("/checkpoint", response_model=Standing)
async def checkpoint(services: Opened, _who: Auditor) -> dict[str, Any]:
    """Say where the chain stands."""
    point = await services.audit.checkpoint()
    return {"checkpoint": str(point), "number": point.number, "hash": point.hash.hex()}


def _aware(moment: datetime | None) -> datetime | None:
    """Take a time without an offset as UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
