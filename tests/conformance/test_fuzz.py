"""Whatever is sent to the server, it answers with a code of the error table and stays well.

The cases follow from a seed: ``FUZZ_SEED=… FUZZ_CASE=… make test-conformance`` repeats one and shows it;
``FUZZ_CALLS`` changes how many there are.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.integration.conftest import new_platform
from tests.integration.support.authority import Authority
from tests.integration.support.installation import Platform
from tests.integration.support.issuer import Issuer
from tests.integration.support.postgres import Postgres
from tests.integration.support.processes import Process

from .fuzz import oracle
from .fuzz.cases import Case, Surface, case
from .fuzz.wire import Answer, Connection, NoAnswer
from .suite import LOGS, Recorder, python_path

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

SEED = os.environ.get("FUZZ_SEED", "composition")
CALLS = int(os.environ.get("FUZZ_CALLS", "20000"))
CONNECTIONS = 12
# The first calls fill caches and pools; what the process holds after them is what it may go on holding.
WARM = 0.25
GROWTH_LIMIT_MIB = 48
PROBLEMS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """A platform with its web, and what can be called on it."""

    platform: Platform
    web: Process
    surface: Surface

    def memory_mib(self) -> float:
        """Memory of all processes of the web."""
        return sum(map(_resident_mib, _descendants(self.web.pid)))


@pytest.fixture(scope="module")
def fuzzed(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, issuer: Issuer, authority: Authority
) -> Iterator[Fuzzed]:
    """The product as it is served, without any fixture of a test suite."""
    folder = tmp_path_factory.mktemp("fuzz")
    with new_platform(folder, postgres, issuer, authority) as platform:
        # Many finished jobs of one tenant in a minute are what this is about; nobody waits for long.
        platform.configure(web={"workers": 1, "wait_seconds": 30}, worker={"concurrency": 8})
        worker = [sys.executable, "-m", "tests.conformance.fuzz.worker"]
        worker += [str(platform.config), str(platform.credentials)]
        platform.start(worker, "worker.ready", PYTHONPATH=python_path())
        web = platform.start_web()
        yield Fuzzed(platform, web, asyncio.run(_surface(platform)))
        LOGS.mkdir(parents=True, exist_ok=True)
        (LOGS / "fuzz.log").write_text(web.output, encoding="utf-8")


async def _surface(platform: Platform) -> Surface:
    lives = {"exp": int(time.time()) + 3600}
    token = platform.issuer.token(**lives)
    async with platform.client(token) as client:
        tools = [tool.model_dump(mode="json", by_alias=True) for tool in (await client.list_tools()).tools]
        capabilities = client.server_capabilities
        prompts = [
            prompt.model_dump(mode="json", by_alias=True)
            for prompt in ((await client.list_prompts()).prompts if capabilities.prompts else [])
        ]
        resources = [
            str(template.uri_template).replace("{", "").replace("}", "")
            for template in (
                (await client.list_resource_templates()).resource_templates if capabilities.resources else []
            )
        ]
    others = (
        platform.issuer.token(tenant="another", **lives),
        platform.issuer.token(scope="", **lives),
        platform.issuer.token(exp=1),
        platform.issuer.token(aud="https://elsewhere.test"),
    )
    return Surface(f"127.0.0.1:{platform.port}", token, others, tools, prompts, resources)


async def test_no_input_brings_the_server_down(fuzzed: Fuzzed, record_property: Recorder) -> None:
    if "FUZZ_CASE" in os.environ:
        await _replay(fuzzed, int(os.environ["FUZZ_CASE"]))
        return
    print(f"seed {SEED!r}, {CALLS} calls")
    begun = time.monotonic()
    numbers = iter(range(CALLS))
    kinds: Counter[str] = Counter()
    statuses: Counter[int | None] = Counter()
    problems: dict[str, list[int]] = {}
    warm = 0.0

    async def send() -> None:
        nonlocal warm
        connection = Connection(fuzzed.platform.port)
        for number in numbers:
            made = case(fuzzed.surface, SEED, number)
            answer, problem = await _judged(connection, made)
            kinds[made.kind.split(":")[0]] += 1
            statuses[answer.status if answer else None] += 1
            if problem:
                problems.setdefault(f"{made.kind.split('+')[0]}: {problem}", []).append(number)
            if number == int(CALLS * WARM):
                warm = fuzzed.memory_mib()
        connection.close()

    await asyncio.gather(*(send() for _ in range(CONNECTIONS)))

    seconds = time.monotonic() - begun
    grown = fuzzed.memory_mib() - warm
    print(f"{seconds:.0f} s, {grown:+.1f} MiB since {WARM:.0%}; {dict(kinds)}; {dict(statuses)}")
    shown = "\n".join(
        f"  {len(cases)} times: {problem}\n    FUZZ_SEED={SEED} FUZZ_CASE={cases[0]}"
        for problem, cases in sorted(problems.items(), key=lambda each: -len(each[1]))[:PROBLEMS_SHOWN]
    )
    wrong = sum(map(len, problems.values()))
    assert not wrong, f"{wrong} of {CALLS} calls were answered wrongly:\n{shown}"
    assert kinds.total() == CALLS
    _assert_well(fuzzed)
    assert grown < GROWTH_LIMIT_MIB, f"the web grew by {grown:.0f} MiB during {CALLS * (1 - WARM):.0f} calls"
    per_second = CALLS / seconds
    record_property(
        "summary", f"{CALLS} hostile calls, {per_second:.0f} a second, {grown:+.0f} MiB, seed {SEED}"
    )


async def _judged(connection: Connection, made: Case) -> tuple[Answer | None, str | None]:
    try:
        answer = await connection.exchange(made.request, cut_off=made.cut_off, stream=made.stream)
        return answer, oracle.problem(made, answer)
    except (NoAnswer, ConnectionError, ValueError) as error:
        connection.close()
        return None, f"{type(error).__name__}: {error}"


async def _replay(fuzzed: Fuzzed, number: int) -> None:
    made = case(fuzzed.surface, SEED, number)
    said = len(fuzzed.web.output)
    answer, problem = await _judged(Connection(fuzzed.platform.port), made)
    print(f"--- case {number} of {SEED!r}: {made.kind}\n{made.request[:6000]!r}")
    print(f"--- answer\n{answer}\n--- the web said\n{fuzzed.web.output[said:][-6000:]}")
    assert problem is None, problem


def _assert_well(fuzzed: Fuzzed) -> None:
    """No process died and was replaced, nothing crashed unseen, and calls are served as before."""
    output = fuzzed.web.output
    assert output.count("Booting worker") == 1, "a process of the web died and was replaced"
    crashes = [line for line in output.splitlines() if "Traceback" in line or "tool.crashed" in line]
    assert not crashes, f"{len(crashes)} crashes in the log, the first:\n{crashes[0][:3000]}"
    base = f"http://127.0.0.1:{fuzzed.platform.port}"
    assert httpx.get(f"{base}/health/live").status_code == 200
    assert httpx.get(f"{base}/health/ready").json()["ready"] is True


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *itertools.chain.from_iterable(_descendants(int(child)) for child in children)]


def _resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def test_a_case_follows_from_its_seed_and_number(fuzzed: Fuzzed) -> None:
    once = [case(fuzzed.surface, "s", number).request for number in range(300)]
    assert once == [case(fuzzed.surface, "s", number).request for number in range(300)]
    assert len(set(once)) > 290
