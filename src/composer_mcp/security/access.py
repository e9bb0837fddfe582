"""Who with a good token gets in, and with which scopes: decided from a copy of the accounts in memory.

The copy follows the store within two seconds, in every process, and is what counts while the store is away.
Nothing here asks the store for a single call.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Literal

import structlog

from composer_mcp.errors import (
    ACCOUNT_DISABLED,
    ACCOUNT_NEEDED,
    ACCOUNT_TENANT,
    INVALID_TOKEN,
    STORE_UNAVAILABLE,
    ComposerError,
)
from composer_mcp.observability import metrics
from composer_mcp.security.accounts import Snapshot
from composer_mcp.security.roles import ADMINISTRATIVE, granted

if TYPE_CHECKING:
    from composer_mcp.security.accounts import Account, AccountStore
    from composer_mcp.security.caller import Caller

#: How often the store is asked, unless it tells of a change before.
LOOK_SECONDS = 1.0
ANSWER_SECONDS = 2.0
#: Many changes that come together are read together: at most so often.
REST_SECONDS = 0.25
#: Longer than any token is good for.
LONGEST_SECONDS = 86_400.0

log = structlog.get_logger(__name__)


class Access:
    """Admits callers by their accounts and the revoked tokens.

    ``generation`` changes whenever anything did; what :meth:`admit` said before may be wrong from then on.
    """

    def __init__(self, accounts: Literal["optional", "required"] = "optional") -> None:
        self.generation = 0
        self._required = accounts == "required"
        self._version = 0
        self._accounts: dict[tuple[str, str], Account] | None = None
        self._revoked: dict[tuple[str, str], float] = {}
        self._staying: dict[asyncio.Timeout, Caller] = {}

    @classmethod
    def of(cls, snapshot: Snapshot, accounts: Literal["optional", "required"] = "optional") -> Access:
        """Return one that knows this, and follows nothing."""
        access = cls(accounts)
        access.take(snapshot)
        return access

    def take(self, snapshot: Snapshot) -> None:
        """Decide by this from now on; streams of callers who have lost something are ended."""
        self._version = snapshot.version
        self._accounts = {(account.issuer, account.subject): account for account in snapshot.accounts}
        self._revoked = snapshot.revoked
        self.generation += 1
        for stay, who in list(self._staying.items()):
            if not self._still(who):
                stay.reschedule(asyncio.get_running_loop().time())

    def admit(self, who: Caller) -> Caller:
        """Return the caller as the account has it; all scopes that the token has are looked at again.

        Raises:
            invalid_token: the token was revoked.
            account_disabled, account_needed, account_of_another_tenant: no token would help.
            store_unavailable: nothing is known yet.
        """
        if self._accounts is None:
            raise STORE_UNAVAILABLE.error(
                store="database", state="Whether the caller has an account is not known yet."
            )
        if self._revoked.get((who.issuer, who.token_id), 0) > time.time():
            raise INVALID_TOKEN.error(reason="it was revoked")
        asked = who.scopes | who.withheld
        account = self._accounts.get((who.issuer, who.subject))
        if account is None:
            if self._required:
                raise ACCOUNT_NEEDED.error()
            return _with(who, asked - ADMINISTRATIVE, asked & ADMINISTRATIVE, None, ())
        if not account.enabled:
            raise ACCOUNT_DISABLED.error(name=account.name)
        if account.tenant != who.tenant:
            raise ACCOUNT_TENANT.error(name=account.name)
        if account.tokens_from is not None and who.issued_at < account.tokens_from.timestamp():
            raise INVALID_TOKEN.error(reason="it was revoked with all that its account had")
        scopes = asked & granted(account.roles)
        return _with(who, scopes, asked - scopes, account.name, account.roles)

    @contextlib.asynccontextmanager
    async def staying(self, who: Caller) -> AsyncIterator[None]:
        """Stay with a caller for long; what is done meanwhile ends with the token, or when access is lost."""
        seconds = max(0.0, min(who.expires_at - time.time(), LONGEST_SECONDS))
        stay = asyncio.timeout(seconds)
        try:
            async with stay:
                self._staying[stay] = who
                try:
                    yield
                finally:
                    del self._staying[stay]
        except TimeoutError:
            if not stay.expired():
                raise
            log.info("access.ended", tenant=who.tenant)

    @contextlib.asynccontextmanager
    async def following(self, store: AccountStore) -> AsyncIterator[None]:
        """Follow the store for as long as the context lasts."""
        await self._look(store)
        follow = asyncio.create_task(self._follow(store))
        try:
            yield
        finally:
            follow.cancel()
            await asyncio.gather(follow, return_exceptions=True)

    async def _follow(self, store: AccountStore) -> None:
        while True:
            await store.told(LOOK_SECONDS)
            await self._look(store)
            await asyncio.sleep(REST_SECONDS)

    async def _look(self, store: AccountStore) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                snapshot = await store.newer(self._version)
        except (ComposerError, TimeoutError) as error:
            # What was known last counts on; the age of it is a metric.
            log.warning("access.not_read", error=repr(error))
            return
        metrics.ACCESS_KNOWN.labels("web").set_to_current_time()
        if snapshot is not None:
            self.take(snapshot)
            log.info("access.read", version=snapshot.version, accounts=len(snapshot.accounts))

    def _still(self, who: Caller) -> bool:
        """Whether a caller may still do all that he could."""
        try:
            return who.scopes <= self.admit(who).scopes
        except ComposerError:
            return False


def everybody() -> Access:
    """Return access for whoever has a good token: nobody has an account, nothing is revoked."""
    return Access.of(Snapshot(1, (), {}))


def _with(
    who: Caller, scopes: frozenset[str], withheld: frozenset[str], account: str | None, roles: Iterable[str]
) -> Caller:
    return dataclasses.replace(who, scopes=scopes, withheld=withheld, account=account, roles=frozenset(roles))
