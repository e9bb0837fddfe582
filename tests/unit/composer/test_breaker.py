"""While Composer fails it is left alone, and a single question finds out when it is well again."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from composer_mcp.composer.api import ComposerApi
from composer_mcp.composer.breaker import Breaker, Resting, State
from composer_mcp.composer.patience import Patience, RetryBudget
from composer_mcp.composer.settings import ComposerSettings
from composer_mcp.composition.document import Document
from composer_mcp.errors import ComposerError
from composer_mcp.observability import metrics

DOCUMENT = Document.from_json({"version": "1.1", "metadata": {}, "interface": {}, "structure": []})


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def settings(**changes: Any) -> ComposerSettings:
    values: dict[str, Any] = {
        "project_uid": "p",
        "connector_uid": "c",
        "retry_first_delay_seconds": 0,
        "settle_seconds": 0,
        "breaker_failures": 3,
        "breaker_pause_seconds": 10,
        "breaker_longest_pause_seconds": 60,
    }
    return ComposerSettings(**values | changes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("test", settings(), clock)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with breaker.attempt() as attempt:
            attempt.failed()


def succeed(breaker: Breaker) -> None:
    with breaker.attempt() as attempt:
        attempt.succeeded()


def test_it_opens_after_failures_in_a_row_and_says_how_long_to_wait(breaker: Breaker) -> None:
    fail(breaker, 2)
    succeed(breaker)
    fail(breaker, 2)
    assert breaker.state is State.CLOSED
    fail(breaker)
    with pytest.raises(Resting) as refused, breaker.attempt():
        pytest.fail("the call was let through")
    assert 10 <= refused.value.seconds <= 12 and refused.value.failures == 3


def test_it_opens_when_most_calls_fail_though_never_many_in_a_row(clock: Clock) -> None:
    breaker = Breaker("test", settings(breaker_failures=100), clock)
    for _ in range(3):
        succeed(breaker)
        fail(breaker, 4)
    assert breaker.state is State.CLOSED
    succeed(breaker)
    fail(breaker, 4)
    assert breaker.state is State.OPEN


def test_failures_of_long_ago_do_not_count_as_a_share(clock: Clock) -> None:
    breaker = Breaker("test", settings(breaker_failures=100), clock)
    for _ in range(40):
        fail(breaker)
        clock.now += 2
    assert breaker.state is State.CLOSED


def test_one_probe_at_a_time_decides(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 12
    with breaker.attempt() as probe:
        with pytest.raises(Resting), breaker.attempt():
            pytest.fail("a second probe was let through")
        probe.succeeded()
    assert breaker.state is State.CLOSED
    fail(breaker, 2)
    assert breaker.state is State.CLOSED, "it begins anew"


def test_each_failed_probe_doubles_the_pause_up_to_a_limit(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    for expected in (20, 40, 60, 60):
        clock.now += 100
        fail(breaker)
        with pytest.raises(Resting) as refused, breaker.attempt():
            pytest.fail("the call was let through")
        assert expected <= refused.value.seconds <= expected * 1.2


def test_a_probe_that_is_cancelled_says_nothing_and_blocks_nothing(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 12
    with pytest.raises(KeyboardInterrupt), breaker.attempt():
        raise KeyboardInterrupt
    assert breaker.state is State.HALF_OPEN
    succeed(breaker)
    assert breaker.state is State.CLOSED


def test_calls_under_way_when_it_opened_do_not_close_it(breaker: Breaker) -> None:
    with breaker.attempt() as slow:
        fail(breaker, 3)
        slow.succeeded()
    assert breaker.state is State.OPEN


def test_its_state_is_shown_in_the_metrics(clock: Clock) -> None:
    breaker = Breaker("shown", settings(), clock)

    def value(name: str, **labels: str) -> float | None:
        return metrics.REGISTRY.get_sample_value(name, {"breaker": "shown", **labels})

    assert value("composer_breaker_open") == 0
    fail(breaker, 3)
    assert value("composer_breaker_open") == 1
    assert value("composer_breaker_changes_total", state="open") == 1
    with pytest.raises(Resting), breaker.attempt():
        pass
    assert value("composer_breaker_refused_total") == 1
    clock.now += 12
    succeed(breaker)
    assert value("composer_breaker_open") == 0
    assert value("composer_breaker_changes_total", state="closed") == 1


@pytest.mark.anyio
async def test_while_it_is_open_no_request_goes_out_and_the_caller_knows_how_long_to_wait() -> None:
    requests = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(503, stream=httpx.ByteStream(b""))

    async def fence() -> None:
        """The job is still ours."""

    client = ComposerApi(settings(), SecretStr("t"), SecretStr("k"), httpx.MockTransport(answer))
    async with client:
        with pytest.raises(ComposerError):
            await client.read("u")
        assert len(requests) == 3, "the third failure opened it; the fourth try was not made"
        for call in (client.read("u"), client.create(DOCUMENT, fence), client.replace("u", DOCUMENT, fence)):
            with pytest.raises(ComposerError) as raised:
                await call
            error = raised.value
            assert error.code.code == "composer_unavailable"
            assert "it failed 3 times in a row, so it is left alone for now" in error.sentence
            assert 1 <= error.details["retry_after"] <= 12
            assert error.remedy.startswith(f"Wait {error.details['retry_after']} s")
        assert len(requests) == 3


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 401, 404, 413])
async def test_refusals_are_proper_answers(status: int) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, stream=httpx.ByteStream(b"no"))

    client = ComposerApi(settings(), SecretStr("t"), SecretStr("k"), httpx.MockTransport(answer))
    async with client:
        for _ in range(10):
            with pytest.raises(ComposerError):
                await client.versions("u")
        assert client.breaker.state is State.CLOSED


@pytest.mark.anyio
async def test_an_outage_is_not_multiplied_by_repetitions() -> None:
    requests = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(500, stream=httpx.ByteStream(b""))

    patient = settings(breaker_failures=100, retry_reserve=5, retry_share=0.1, attempts=10)
    client = ComposerApi(patient, SecretStr("t"), SecretStr("k"), httpx.MockTransport(answer))
    # Only the budget is to hold it back.
    client.breaker = Breaker(
        "off", settings(breaker_failures=100), clock=iter(range(0, 10**9, 1000)).__next__
    )
    async with client:
        for _ in range(50):
            with pytest.raises(ComposerError):
                await client.versions("u")
    assert 50 <= len(requests) <= 50 + 5 + 50 * 0.1 + 1


def test_the_budget_comes_back_with_time(clock: Clock) -> None:
    budget = RetryBudget(settings(retry_reserve=2, retry_share=0), clock)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    clock.now += 2
    assert [budget.take() for _ in range(2)] == [True, False]
    clock.now += 3600
    assert [budget.take() for _ in range(3)] == [True, True, False]


@pytest.mark.anyio
async def test_a_call_alone_is_as_patient_as_configured(clock: Clock) -> None:
    patience = Patience(settings(attempts=4), RetryBudget(settings(), clock))
    tries = 0
    more = True
    while more:
        patience.begin()
        tries += 1
        more = await patience.pause()
    assert tries == 4
