"""The audit trail over HTTP: entries, one entry, where the chain stands, and whether it is intact.

Verifying it here shows what somebody did to the database. Whoever must not have to trust this server either
verifies with the command (``composer-mcp audit verify``), which knows archives too.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from composer_mcp.admin.access import Opened, Problem, Sought, requires
from composer_mcp.audit import calls
from composer_mcp.audit.chain import CHECKPOINT, Checkpoint
from composer_mcp.audit.reading import as_dict
from composer_mcp.audit.store import Filter
from composer_mcp.audit.verify import PROBLEMS_TOLD
from composer_mcp.security.caller import Caller

router = APIRouter(prefix="/audit", tags=["audit"])
Auditor = Annotated[Caller, requires("audit:read")]
PAGE_LIMIT = 500
#: A verification is recorded itself; with fewer entries a call it would never come to an end.
STRETCH_LEAST = 10
STRETCH_LIMIT = 100_000


def _in_utc(moment: datetime) -> datetime:
    """Take a time without an offset as UTC."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC this is before the year 1 or after the year 9999") from None


Moment = Annotated[datetime, AfterValidator(_in_utc)]


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


class Fault(BaseModel):
    """Something that is not as it was recorded."""

    number: int = Field(description="the place in the chain")
    what: str


class Verified(BaseModel):
    """What was found in one stretch of the chain."""

    ok: bool = Field(description="whether nothing is wrong in it")
    entries: int = Field(description="how many were verified")
    first: int = Field(description="number of the first of them; 0 if there were none")
    last: int
    faults: list[Fault] = Field(
        description=f"in the order of the chain, at most {PROBLEMS_TOLD}; others may follow from the first"
    )
    checkpoint: str = Field(description="for `after` of the next call; keep the last one elsewhere")
    done: bool = Field(description="whether the chain was followed to its end")


class Stretch(BaseModel):
    """Which part of the chain is verified."""

    model_config = ConfigDict(extra="forbid")

    after: str | None = Field(
        None,
        pattern=f"^{CHECKPOINT.pattern}$",
        description="a checkpoint: the entries after it are verified, and that its own is the one it names; "
        "from the beginning when left out",
    )
    limit: int = Field(10_000, ge=STRETCH_LEAST, le=STRETCH_LIMIT, description="at most so many entries")


class Wanted(BaseModel):
    """Which entries are asked for."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = None
    until: Moment | None = None
    tenant: Sought | None = Field(None, max_length=200)
    actor: Sought | None = Field(None, max_length=400, description="may end with *")
    action: Sought | None = Field(None, max_length=120, description="may end with *")
    outcome: Sought | None = Field(None, max_length=80)
    correlation_id: Sought | None = Field(None, max_length=128)
    before: int | None = Field(None, ge=1, le=2**62, description="only entries with lower numbers")
    limit: int = Field(100, ge=1, le=PAGE_LIMIT)


@router.get("/entries", response_model=Page)
async def entries(wanted: Annotated[Wanted, Query()], services: Opened, _who: Auditor) -> dict[str, Any]:
    """List entries of all tenants, newest first."""
    which = Filter(
        wanted.since,
        wanted.until,
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


@router.get(
    "/verify",
    response_model=Verified,
    responses={
        404: {"model": Problem, "description": "the entry of the checkpoint was archived"},
        429: {"model": Problem, "description": "another one is under way; come back after Retry-After"},
    },
)
async def verify(wanted: Annotated[Stretch, Query()], services: Opened, who: Auditor) -> dict[str, Any]:
    """Find what was changed, removed or inserted, for some two seconds; the next call goes on from there.

    Each finding is in the trail. Without an earlier checkpoint that was kept elsewhere nobody can see that
    everything was taken back to an earlier state.
    """
    after = Checkpoint.parse(wanted.after) if wanted.after else None
    verdict = await services.audit.verify(after, wanted.limit)
    faults = sorted(verdict.problems, key=lambda problem: problem.number)
    found = {"entries": verdict.entries, "faults": len(faults)} | (
        {"first": asdict(faults[0])} if faults else {}
    )
    place, outcome = f"{verdict.first}-{verdict.last}", "ok" if verdict.ok else "not_intact"
    services.audit.note(calls.entry(who, "audit.verify", target=place, outcome=outcome, details=found))
    told = {"ok": verdict.ok, "checkpoint": verdict.checkpoint, "done": verdict.done}
    span = {"entries": verdict.entries, "first": verdict.first, "last": verdict.last}
    return told | span | {"faults": [asdict(fault) for fault in faults]}
