"""What a call costs: our whole web application against the bare SDK and against FastMCP.

Each server is one process of gunicorn's ``asgi`` worker on a core of its own, on the loopback without
encryption, and carries the same number of tools; the tool that is called is the same code everywhere and
does next to nothing, so that what is measured is everything around it. Ours verifies a signed token, writes
an access line, and counts; the others do nothing of the sort.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load, results
from benchmarks.installation import Installation, installed
from benchmarks.measure import Promise, Report, Row, median_ratio, medians, progress, rotations
from benchmarks.peers_at_hand import ROOT, PeerMissing, python_of, version_of
from benchmarks.processes import Child, cpu_seconds, free_port

NAME = "protocol"
OURS, BARE, FASTMCP = "composer-mcp", "bare SDK", "FastMCP"
# Many short turns: what else the machine does then falls on all servers alike.
ROUNDS = 20
SECONDS = 0.3
CALLERS = (1, 16)
TOOL = "widget_catalogue"
ARGUMENTS = {"language": "pt_BR"}
VERSION = "2026-07-28"
CLIENT = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
FEW, MANY = 10, 100
NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that stands: its process, its port, and the header that lets us in."""

    child: Child
    port: int
    headers: Mapping[str, str]


def call(server: Server, wire: str) -> bytes:
    """The request in the form of one era of the protocol."""
    parameters: dict[str, object] = {"name": TOOL, "arguments": ARGUMENTS}
    if wire == "2026":
        parameters["_meta"] = CLIENT
        headers = {"MCP-Protocol-Version": VERSION, "Mcp-Method": "tools/call", "Mcp-Name": TOOL}
    else:
        headers = {"MCP-Protocol-Version": "2025-11-25"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}
    return load.request(server.port, body, {**headers, **server.headers})


def gunicorn(python: Path, module: str, port: int) -> list[str]:
    """The command of a peer: the options of our own web process."""
    return [
        str(python), "-m", "gunicorn", "--worker-class", "asgi", "--workers", "1", "--keep-alive", "5",
        "--bind", f"127.0.0.1:{port}", "--log-level", "warning", "--no-control-socket", f"{module}:app",
    ]  # fmt: skip


async def peer(installation: Installation, python: Path, module: str, tools: int, core: int | None) -> Server:
    """Start a peer with so many tools."""
    port = free_port()
    command = gunicorn(python, f"benchmarks.peers.{module}", port)
    child = installation.start(
        command,
        f"{module}-{tools}",
        core,
        TOOLS=str(tools),
        PYTHONPATH=str(ROOT),
        FASTMCP_CHECK_FOR_UPDATES="off",
    )
    await child.listens(port)
    return Server(child, port, {})


async def tools_of_ours(server: Server) -> int:
    """How many tools our application offers."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": CLIENT}}
    headers = {"MCP-Protocol-Version": VERSION, "Mcp-Method": "tools/list", **server.headers}
    connection = load.Connection(server.port)
    answer = await connection.ask(load.request(server.port, body, headers))
    connection.close()
    return len(answer.message()["result"]["tools"])


async def sample(server: Server, request: bytes, callers: int, seconds: float) -> dict[str, float]:
    """One turn of one server."""
    processes = server.child.family()
    before = cpu_seconds(processes)
    found = await load.drive(server.port, request, callers, seconds)
    used = cpu_seconds(processes) - before
    return {
        "calls/s": found.per_second,
        "p50 ms": found.percentile_ms(0.5),
        "p99 ms": found.percentile_ms(0.99),
        "cpu ms/call": 1000 * used / len(found.latencies),
    }


@contextlib.contextmanager
def generator_on_its_own_core() -> Iterator[int | None]:
    """Keep us off the core of the servers, where there is a second one; yields the servers' core."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        yield None
        return
    os.sched_setaffinity(0, set(cores[1:]))
    try:
        yield cores[0]
    finally:
        os.sched_setaffinity(0, set(cores))


async def run() -> Report:
    """Measure all servers in turns."""
    say = progress(NAME)
    report = Report(NAME, "What a call costs", __doc__.split("\n\n", 1)[1].strip())
    with installed() as installation, generator_on_its_own_core() as core:
        say("starting the servers")
        authorization = {"Authorization": f"Bearer {installation.token()}"}
        child, port = await installation.serve("alone", 0, core)
        present = await tools_of_ours(Server(child, port, authorization))
        child.stop()
        few = max(FEW, present + 1)
        servers: dict[tuple[str, int], Server] = {}
        for tools in (few, MANY):
            child, port = await installation.serve(f"ours-{tools}", tools - present, core)
            servers[OURS, tools] = Server(child, port, authorization)
            servers[BARE, tools] = await peer(installation, Path(sys.executable), "sdk_server", tools, core)
            try:
                python = python_of("fastmcp", say)
                servers[FASTMCP, tools] = await peer(installation, python, "fastmcp_server", tools, core)
                report.versions["fastmcp"] = version_of(python, "fastmcp")
            except PeerMissing as missing:
                if str(missing) not in report.remarks:
                    report.remarks.append(str(missing))
                    report.rows += results.recorded(NAME, FASTMCP)
        say(f"measuring with {few} tools ({present} of our own) and with {MANY}")
        samples: dict[tuple[str, str, int, int], list[dict[str, float]]] = defaultdict(list)
        names = list(dict.fromkeys(name for name, _ in servers))
        for number, order in rotations(names, ROUNDS + 1):
            for wire in ("2026", "legacy"):
                for callers in CALLERS:
                    for name in order:
                        server = servers[name, few]
                        # The first round only warms up.
                        seconds = SECONDS
                        found = await sample(server, call(server, wire), callers, seconds)
                        if number:
                            samples[name, wire, callers, few].append(found)
            for name in order:
                for tools in (few, MANY) if number % 2 else (MANY, few):
                    server = servers[name, tools]
                    found = await sample(server, call(server, "2026"), 1, SECONDS)
                    if number:
                        samples[name, "growth", 1, tools].append(found)
            if number % 5 == 0:
                say(f"round {number} of {ROUNDS}")
    _conclude(report, samples, few)
    return report


def _conclude(
    report: Report, samples: Mapping[tuple[str, str, int, int], list[dict[str, float]]], few: int
) -> None:
    for (name, wire, callers, tools), found in samples.items():
        what = (
            f"2026 wire, 1 caller, {tools} tools (for growth)"
            if wire == "growth"
            else f"{wire} wire, {callers} caller{'s' * (callers > 1)}, {tools} tools"
        )
        report.rows.append(Row(what, name, medians(found)))
    report.rows.sort(
        key=lambda row: (
            "growth" in row.what,
            "legacy" in row.what,
            [int(n) for n in NUMBERS.findall(row.what)],
        )
    )

    for theirs, limit in ((BARE, 0.8), (FASTMCP, 4.0)):
        for wire in ("2026", "legacy"):
            for callers in CALLERS:
                value = ratio_of(samples, (OURS, wire, callers, few), (theirs, wire, callers, few))
                if value is not None:
                    text = (
                        f"calls/s over those of {theirs}, {wire} wire, {callers} caller{'s' * (callers > 1)}"
                    )
                    report.promises.append(Promise(text, value, limit, "x", at_least=True))
    for wire in ("2026", "legacy"):
        for callers in CALLERS:
            ours, bare = (samples[name, wire, callers, few] for name in (OURS, BARE))
            spent = median_ratio([one["cpu ms/call"] for one in ours], [one["cpu ms/call"] for one in bare])
            text = f"processor time over that of {BARE}, {wire} wire, {callers} caller{'s' * (callers > 1)}"
            report.promises.append(Promise(text, spent, 1.25, "x"))
    grown = median_ratio(
        [one["cpu ms/call"] for one in samples[OURS, "growth", 1, MANY]],
        [one["cpu ms/call"] for one in samples[OURS, "growth", 1, few]],
    )
    text = f"processor time of a call with {MANY} tools over that with {few}"
    report.promises.append(Promise(text, grown, 1.1, "x"))
    lead = ratio_of(samples, (BARE, "legacy", 1, few), (FASTMCP, "legacy", 1, few))
    if lead is not None:
        report.remarks.append(
            f"On the wire of before 2026 the bare SDK itself answers {lead:.1f} times as many calls as "
            "FastMCP with one caller, so nobody who builds on it can be four times as fast there."
        )


def ratio_of(
    samples: Mapping[tuple[str, str, int, int], list[dict[str, float]]],
    ours: tuple[str, str, int, int],
    theirs: tuple[str, str, int, int],
) -> float | None:
    """The median ratio of calls a second, or nothing when one of the two was not measured."""
    if ours not in samples or theirs not in samples:
        return None
    return median_ratio(
        [one["calls/s"] for one in samples[ours]], [one["calls/s"] for one in samples[theirs]]
    )
