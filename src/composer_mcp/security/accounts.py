"""Accounts and revoked tokens: what they are, and the port to where they are kept.

``store.postgres_accounts`` and ``store.sqlite_accounts`` implement it; ``access`` decides by it who gets in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from composer_mcp.security.roles import ADMINISTRATOR, ROLES

#: All of them are in the memory of each process; see ``access``.
ACCOUNT_LIMIT = 10_000
REVOCATION_LIMIT = 10_000
PAGE_LIMIT = 500
#: How long a revocation is kept when nobody knows when its token expires: longer than tokens are good for.
KEPT = timedelta(days=31)
#: A token is good for a moment longer than it says, because clocks differ.
MARGIN = timedelta(minutes=1)
REACH = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))
#: Lengths are checked beside patterns: counted inside, each would cost 0.1 s at every start.
NAME = r"^[\w.@:+-]+$"
NAME_LENGTH = 100
TENANT_LENGTH = 200
TENANT = re.compile(rf"[\w.@:-]{{1,{TENANT_LENGTH}}}")
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"

Kind = Literal["user", "service"]


def _known(roles: list[str]) -> list[str]:
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise ValueError(f"there is no role {', '.join(unknown)}; known: {', '.join(ROLES)}")
    return sorted(set(roles))


def _in_reach(moment: datetime) -> datetime:
    """Refuse a time with which nobody can calculate."""
    if not REACH[0] < moment < REACH[1]:
        raise ValueError("it must lie between the years 1970 and 9000")
    return moment


Name = Annotated[
    str,
    Field(pattern=NAME, max_length=NAME_LENGTH, description="letters, digits and . @ : + - _ (at most 100)"),
]
Roles = Annotated[
    list[str],
    Field(min_length=1, max_length=len(ROLES), description="what the account may do: " + ", ".join(ROLES)),
    AfterValidator(_known),
]
Note = Annotated[str, Field(max_length=500, pattern=PRINTABLE, description="for people")]


class NewAccount(BaseModel):
    """An account to add."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    kind: Kind = "user"
    issuer: str = Field(min_length=1, max_length=500, pattern=PRINTABLE, description="who issues its tokens")
    subject: str = Field(
        min_length=1, max_length=300, pattern=PRINTABLE, description="how its tokens name it (claim sub)"
    )
    tenant: str = Field(
        pattern=r"^[\w.@:-]+$", max_length=TENANT_LENGTH, description="its tokens must be for this tenant"
    )
    roles: Roles
    note: Note = ""


class Account(BaseModel):
    """A person or a service that may call, and as what."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Kind
    issuer: str
    subject: str
    tenant: str
    roles: list[str]
    enabled: bool = Field(description="whether it may call at all")
    note: str
    tokens_from: datetime | None = Field(description="tokens that were issued before are refused")
    created_at: datetime
    changed_at: datetime


class Change(BaseModel):
    """What to change of an account; what is left out stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roles: Roles | None = None
    enabled: bool | None = None
    note: Note | None = None
    revoke_tokens: bool = Field(False, description="refuse all tokens that were issued to it until now")


class Revocation(BaseModel):
    """A token that is refused although its issuer signed it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(min_length=1, max_length=500, pattern=PRINTABLE, description="who issued the token")
    token_id: str = Field(
        min_length=1, max_length=300, pattern=PRINTABLE, description="the token's own id (claim jti)"
    )
    expires_at: Annotated[AwareDatetime, AfterValidator(_in_reach)] | None = Field(
        None, description="when the token expires by itself; when left out, it is refused for 31 days"
    )
    note: Note = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that decides who gets in, as of one ``version``.

    ``revoked`` has issuer and id of each token, with the moment until which it is refused.
    """

    version: int
    accounts: Sequence[Account]
    revoked: dict[tuple[str, str], float]


class AccountStore(Protocol):
    """Keeps accounts and revocations. Every method may raise ``store_unavailable``.

    A change is visible to whoever asks :meth:`newer` once it returned; never is the last enabled account
    with the role of an administrator lost.
    """

    async def add(self, new: NewAccount) -> Account:
        """Add an account, enabled.

        Raises:
            account_exists: the name, or the subject of that issuer, has one already.
            too_many: there are :data:`ACCOUNT_LIMIT` already.
        """

    async def get(self, name: str) -> Account:
        """Return an account.

        Raises:
            account_unknown: there is none of that name.
        """

    async def page(self, after: str = "", limit: int = 100, tenant: str | None = None) -> list[Account]:
        """Return accounts in the order of their names, those behind ``after``; at most 500."""

    async def change(self, name: str, change: Change) -> Account:
        """Change an account.

        Raises:
            account_unknown: there is none of that name.
            last_administrator: nobody could manage accounts any more. Nothing was changed.
        """

    async def remove(self, name: str) -> None:
        """Forget an account.

        Raises:
            account_unknown: there is none of that name.
            last_administrator: nobody could manage accounts any more. Nothing was changed.
        """

    async def revoke(self, revocation: Revocation) -> Revocation:
        """Have a token refused from now on; again, if it is already, for the longer of both times.

        Raises:
            too_many: there are :data:`REVOCATION_LIMIT` that have not expired.
        """

    async def revocations(self, limit: int = 100) -> list[Revocation]:
        """Return the newest revocations that have not expired; at most 500."""

    async def newer(self, version: int) -> Snapshot | None:
        """Return everything, or ``None`` if it is as it was at ``version``."""

    async def told(self, seconds: float) -> None:
        """Return when something may have changed, at the latest after so many seconds."""


def administers(account: Account) -> bool:
    """Whether an account can manage accounts."""
    return account.enabled and ADMINISTRATOR in account.roles


def kept_until(revocation: Revocation) -> datetime:
    """Return until when a revocation is kept."""
    if revocation.expires_at is None:
        return datetime.now(UTC) + KEPT
    return revocation.expires_at + MARGIN
