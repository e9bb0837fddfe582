"""An account limits what a token can do, and never adds to it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from composer_mcp.errors import STORE_UNAVAILABLE, ComposerError
from composer_mcp.security.access import Access, everybody
from composer_mcp.security.accounts import Account, Snapshot
from composer_mcp.security.caller import Caller
from composer_mcp.security.roles import ADMINISTRATIVE, ALL_SCOPES, ROLES, TOOLS, granted

pytestmark = pytest.mark.anyio
ISSUER = "https://issuer.test"
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def account(*roles: str, **facts: Any) -> Account:
    usual = {
        "name": "ana", "kind": "user", "issuer": ISSUER, "subject": "ana", "tenant": "school",
        "enabled": True, "note": "", "tokens_from": None, "created_at": MOMENT, "changed_at": MOMENT,
    }  # fmt: skip
    return Account(**usual | facts, roles=list(roles))


def caller(*scopes: str, **facts: Any) -> Caller:
    usual = {"issuer": ISSUER, "subject": "ana", "tenant": "school", "expires_at": time.time() + 300}
    return Caller(**usual | facts, scopes=frozenset(scopes or ALL_SCOPES))


def access(*accounts: Account, version: int = 1, mode: Any = "optional", **revoked: float) -> Access:
    known = {(ISSUER, name): until for name, until in revoked.items()}
    return Access.of(Snapshot(version, accounts, known), mode)


def refusal(access: Access, who: Caller) -> str:
    with pytest.raises(ComposerError) as refused:
        access.admit(who)
    return refused.value.code.code


@pytest.mark.parametrize("role", ROLES)
async def test_an_account_has_what_both_token_and_role_grant(role: str) -> None:
    admitted = access(account(role)).admit(caller())
    assert admitted.scopes == ROLES[role] and admitted.withheld == ALL_SCOPES - ROLES[role]
    assert (admitted.account, admitted.roles) == ("ana", {role})
    for scope in ALL_SCOPES:
        assert access(account(role)).admit(caller(scope)).scopes == ROLES[role] & {scope}


async def test_a_role_of_a_later_release_grants_nothing() -> None:
    assert access(account("emperor")).admit(caller()).scopes == set()
    assert granted(["emperor", "reader"]) == ROLES["reader"]


async def test_without_an_account_a_token_opens_tools_only() -> None:
    admitted = everybody().admit(caller(*ALL_SCOPES, "of:another-service"))
    assert admitted.scopes == TOOLS | {"of:another-service"} and admitted.withheld == ADMINISTRATIVE
    with pytest.raises(ComposerError, match="no role of the caller grants"):
        admitted.require_scope("accounts:manage", "GET /accounts")


async def test_who_needs_an_account_and_has_none_is_refused() -> None:
    assert refusal(access(mode="required"), caller()) == "account_needed"
    assert access(account("reader"), mode="required").admit(caller()).account == "ana"


async def test_an_account_is_one_subject_of_one_issuer_in_one_tenant() -> None:
    known = access(account("administrator"))
    assert known.admit(caller(subject="rui")).account is None
    assert known.admit(caller(issuer="https://other.test")).account is None
    assert refusal(known, caller(tenant="other")) == "account_of_another_tenant"
    assert refusal(access(account("teacher", enabled=False)), caller()) == "account_disabled"


async def test_a_revoked_token_is_refused_until_it_expires() -> None:
    known = access(one=time.time() + 60, old=time.time() - 1)
    assert refusal(known, caller(token_id="one")) == "invalid_token"
    for good in (caller(token_id="old"), caller(token_id="two"), caller(token_id="one", issuer="other")):
        known.admit(good)


async def test_tokens_from_before_a_moment_are_refused() -> None:
    known = access(account("teacher", tokens_from=MOMENT + timedelta(seconds=0.5)))
    assert refusal(known, caller(issued_at=MOMENT.timestamp())) == "invalid_token"
    assert known.admit(caller(issued_at=MOMENT.timestamp() + 1)).scopes == TOOLS


async def test_what_was_withheld_is_given_when_a_role_is() -> None:
    known = access(account("reader"))
    before = known.admit(caller())
    generation = known.generation
    known.take(Snapshot(2, [account("administrator")], {}))
    assert known.generation != generation
    assert known.admit(before).scopes == ALL_SCOPES


async def test_before_anything_is_known_nobody_gets_in() -> None:
    assert refusal(Access(), caller()) == "store_unavailable"


class Store:
    """A store that answers what it is told to, and counts."""

    def __init__(self, *answers: Snapshot | Exception | None) -> None:
        self._answers = list(answers)
        self.asked: list[int] = []
        self.done = asyncio.Event()

    async def newer(self, version: int) -> Snapshot | None:
        self.asked.append(version)
        if not self._answers:
            self.done.set()
            return None
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def told(self, _seconds: float) -> None:
        await asyncio.sleep(0)


async def test_the_copy_follows_the_store_and_outlives_its_absence() -> None:
    known = Access()
    away = STORE_UNAVAILABLE.error(store="database", state="")
    disabled = account("reader", enabled=False)
    store = Store(Snapshot(7, [account("reader")], {}), away, TimeoutError(), Snapshot(8, [disabled], {}))
    async with known.following(store):
        assert known.admit(caller()).account == "ana"
        async with asyncio.timeout(30):
            await store.done.wait()
    assert refusal(known, caller()) == "account_disabled"
    assert store.asked[:4] == [0, 7, 7, 7]


async def test_who_stays_leaves_when_access_is_lost() -> None:
    known = access(account("teacher"), account("teacher", name="rui", subject="rui"))
    ended: list[str] = []

    async def stay(subject: str) -> None:
        async with known.staying(known.admit(caller(subject=subject))):
            await asyncio.sleep(60)
        ended.append(subject)

    ana, rui = asyncio.create_task(stay("ana")), asyncio.create_task(stay("rui"))
    await asyncio.sleep(0.01)
    known.take(Snapshot(2, [account("reader"), account("teacher", name="rui", subject="rui")], {}))
    async with asyncio.timeout(30):
        await ana
    assert ended == ["ana"] and not rui.done()
    rui.cancel()
    await asyncio.gather(rui, return_exceptions=True)
    assert not known._staying


async def test_who_stays_leaves_when_the_token_expires() -> None:
    known = everybody()
    async with asyncio.timeout(30), known.staying(caller(expires_at=time.time() + 0.05)):
        await asyncio.sleep(60)
        raise AssertionError("nobody left")


async def test_a_time_limit_inside_is_not_taken_for_the_end() -> None:
    with pytest.raises(TimeoutError):
        async with everybody().staying(caller()):
            raise TimeoutError
