"""What a call pays for everything around its job: authentication, audit, log lines, figures, validation.

Our whole web application against the bare SDK on the same job engine, the same database and the same worker;
the job waits as long as its name says and does nothing else. What the two differ by is all that ours does
beside the job: it verifies a token, validates arguments and result, records the call in the audit trail
(on disk before the answer where the call writes), writes log lines, counts. None of it can be switched off,
so it is not measured by switching it off. A job of 100 ms is a short one: one request to Composer's API.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from benchmarks import load
from benchmarks.installation import Installation, installed
from benchmarks.measure import Promise, Report, Row, median_ratio, medians, progress, rotations
from benchmarks.peers_at_hand import ROOT
from benchmarks.processes import Child, free_port
from benchmarks.protocol import CLIENT, VERSION, Server, gunicorn, sample

NAME = "overhead"
OURS, BARE = "composer-mcp", "bare SDK, same engine"
ROUNDS = 12
SECONDS = 1.5
#: Milliseconds of the job; none shows what is paid in itself.
JOBS = (0, 100)
LIMIT = 1.15


def call(server: Server, tool: str, milliseconds: int) -> bytes:
    """A call of a tool whose job takes so long."""
    arguments: dict[str, object] = {"uid": f"bench-x-{milliseconds}"}
    if tool == "create_composition":
        elements = [{"type": "text", "text": "A cell is the smallest unit of life."}]
        arguments = {"lesson": {"title": f"bench-x-{milliseconds}", "elements": elements}}
    parameters = {"name": tool, "arguments": arguments, "_meta": CLIENT}
    headers = {"MCP-Protocol-Version": VERSION, "Mcp-Method": "tools/call", "Mcp-Name": tool}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}
    return load.request(server.port, body, {**headers, **server.headers})


async def bare(installation: Installation) -> Server:
    """Start the peer, with our configuration and its secrets."""
    port = free_port()
    child = installation.start(
        gunicorn(Path(sys.executable), "benchmarks.peers.sdk_jobs_server", port),
        "bare",
        PYTHONPATH=str(ROOT),
        CONFIG=str(installation.platform.config),
        CREDENTIALS=str(installation.platform.credentials),
    )
    await child.listens(port)
    return Server(child, port, {})


async def worker(installation: Installation) -> Child:
    """Start the worker that both have their jobs done by."""
    arguments = [str(installation.platform.config), str(installation.platform.credentials)]
    child = installation.start([sys.executable, "-m", "benchmarks.our_worker", *arguments], "worker")
    await child.says("worker.ready")
    return child


async def run() -> Report:
    """Measure both in turns."""
    say = progress(NAME)
    report = Report(NAME, "What surrounds a job", (__doc__ or "").split("\n\n", 1)[1].strip())
    with installed() as installation:
        say("starting the servers")
        child, port = await installation.serve("ours")
        servers = {
            OURS: Server(child, port, {"Authorization": f"Bearer {installation.token()}"}),
            BARE: await bare(installation),
        }
        await worker(installation)
        samples: dict[tuple[str, str, int], list[dict[str, float]]] = defaultdict(list)
        for number, order in rotations(list(servers), ROUNDS + 1):
            for tool in ("get_composition", "create_composition"):
                for milliseconds in JOBS:
                    for name in order:
                        server = servers[name]
                        found = await sample(server, call(server, tool, milliseconds), 1, SECONDS)
                        # The first round only warms up.
                        if number:
                            samples[name, tool, milliseconds].append(found)
            if number % 4 == 0:
                say(f"round {number} of {ROUNDS}")
    for (name, tool, milliseconds), each in samples.items():
        report.rows.append(Row(f"{tool}, job of {milliseconds} ms, 1 caller", name, medians(each)))
    for tool, does in (("get_composition", "reads"), ("create_composition", "writes")):
        ours, theirs = ([one["p50 ms"] for one in samples[name, tool, JOBS[-1]]] for name in (OURS, BARE))
        text = f"time of a call that {does} over that of the bare SDK with the same job of {JOBS[-1]} ms"
        report.promises.append(Promise(text, median_ratio(ours, theirs), LIMIT, "x"))
    return report
