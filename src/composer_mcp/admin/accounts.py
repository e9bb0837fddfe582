"""Accounts, roles and revoked tokens over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from composer_mcp.admin.access import Opened, Problem, Sought, requires
from composer_mcp.errors import ISSUER_UNKNOWN
from composer_mcp.security.accounts import (
    NAME,
    NAME_LENGTH,
    PAGE_LIMIT,
    Account,
    Change,
    NewAccount,
    Revocation,
)
from composer_mcp.security.caller import Caller
from composer_mcp.security.roles import ROLES

router = APIRouter(tags=["accounts"])

Administrator = Annotated[Caller, requires("accounts:manage")]
Name = Annotated[str, Path(pattern=NAME, max_length=NAME_LENGTH, description="the account's name")]
Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="at most so many")]


class Accounts(BaseModel):
    """One page of accounts in the order of their names."""

    accounts: list[Account]
    next: str | None = Field(description="for `after` of the next page; null on the last one")


class Role(BaseModel):
    """What an account may have; the scopes of its tokens count as far as one of its roles grants them."""

    role: str
    scopes: list[str]


async def _issuers(request: Request) -> frozenset[str]:
    known: frozenset[str] = request.app.state.issuers
    return known


Issuers = Annotated[frozenset[str], Depends(_issuers)]
UNKNOWN: dict[int | str, dict[str, object]] = {404: {"model": Problem, "description": "no such account"}}
CONFLICT: dict[int | str, dict[str, object]] = {
    409: {"model": Problem, "description": "there is one already, too many, or it is the last administrator"}
}


@router.get("/roles")
async def roles(_who: Administrator) -> list[Role]:
    """List the roles and the scopes that they grant."""
    return [Role(role=role, scopes=sorted(scopes)) for role, scopes in ROLES.items()]


@router.get("/accounts")
async def page(
    services: Opened,
    _who: Administrator,
    after: Annotated[Sought, Query(max_length=100, description="names behind this one")] = "",
    limit: Limit = 100,
    tenant: Annotated[Sought | None, Query(max_length=200, description="only of this tenant")] = None,
) -> Accounts:
    """List accounts."""
    found = await services.accounts.page(after, limit, tenant)
    return Accounts(accounts=found, next=found[-1].name if len(found) == limit else None)


@router.post("/accounts", status_code=201, responses=CONFLICT)
async def add(services: Opened, _who: Administrator, issuers: Issuers, account: NewAccount) -> Account:
    """Add an account; it is enabled, and all processes know it within two seconds."""
    _trusted(account.issuer, issuers)
    return await services.accounts.add(account)


@router.get("/accounts/{name}", responses=UNKNOWN)
async def show(services: Opened, _who: Administrator, name: Name) -> Account:
    """Show one account."""
    return await services.accounts.get(name)


@router.patch("/accounts/{name}", responses=UNKNOWN | CONFLICT)
async def change(services: Opened, _who: Administrator, name: Name, change: Change) -> Account:
    """Change roles or note, enable or disable, refuse all tokens so far; within two seconds everywhere."""
    return await services.accounts.change(name, change)


@router.delete("/accounts/{name}", status_code=204, responses=UNKNOWN | CONFLICT)
async def remove(services: Opened, _who: Administrator, name: Name) -> None:
    """Remove an account. Where accounts are optional, its caller is then one without; disable it instead."""
    await services.accounts.remove(name)


@router.get("/revocations")
async def revocations(services: Opened, _who: Administrator, limit: Limit = 100) -> list[Revocation]:
    """List revoked tokens that have not expired, the newest first."""
    return await services.accounts.revocations(limit)


@router.post("/revocations", status_code=201, responses=CONFLICT)
async def revoke(
    services: Opened, _who: Administrator, issuers: Issuers, revocation: Revocation
) -> Revocation:
    """Refuse one token from now on, in all processes within two seconds."""
    _trusted(revocation.issuer, issuers)
    return await services.accounts.revoke(revocation)


def _trusted(issuer: str, issuers: frozenset[str]) -> None:
    if issuer not in issuers:
        raise ISSUER_UNKNOWN.error(issuer=issuer[:200], known=", ".join(sorted(issuers)))
