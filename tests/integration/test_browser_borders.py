"""Ways out of a page that pass by the interception of requests: workers, sockets, peer connections, hints."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from composer_mcp.browser.pool import BrowserPool

from .composer_fixtures import Chromium
from .support.site import ELSEWHERE, HERE, Site
from .support.waiting import eventually

pytestmark = pytest.mark.anyio
PATIENCE_SECONDS = 60
#: Tries an address from a worker of a kind, plain and encrypted, and tells when both have ended.
FROM_A_WORKER = """([kind, addresses]) => new Promise(done => {
    const tries = `Promise.all(${JSON.stringify(addresses)}.map(a => fetch(a, {mode: "no-cors"})
        .then(() => a, () => null)))`;
    const source = kind === "shared"
        ? `onconnect = e => ${tries}.then(found => e.ports[0].postMessage(found))`
        : `${tries}.then(found => postMessage(found))`;
    const address = URL.createObjectURL(new Blob([source], {type: "text/javascript"}));
    if (kind === "shared") {
        const worker = new SharedWorker(address);
        worker.port.onmessage = e => done(e.data);
        worker.port.start();
    } else {
        new Worker(address).onmessage = e => done(e.data);
    }
})"""
PEERS = """() => {
    const frame = document.createElement("iframe");
    document.body.append(frame);
    const child = document.createElement("iframe");
    child.srcdoc = "<p>inside</p>";
    document.body.append(child);
    return [globalThis, frame.contentWindow, child.contentWindow]
        .flatMap(w => ["RTCPeerConnection", "webkitRTCPeerConnection"].map(name => typeof w[name]));
}"""
HINTS = """address => {
    for (const rel of ["preconnect", "dns-prefetch", "prefetch", "prerender", "modulepreload"]) {
        const link = document.createElement("link");
        link.rel = rel;
        link.href = address;
        document.head.append(link);
    }
    navigator.sendBeacon(address);
    new EventSource(address);
    return fetch(address, {mode: "no-cors", keepalive: true}).then(() => "reached", () => "refused");
}"""


@asynccontextmanager
async def listening(host: str) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Accept whoever comes; tell the port and what came."""
    came: list[bytes] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(accept, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1], came


@pytest.mark.parametrize("kind", ["dedicated", "shared"])
async def test_workers_reach_only_the_hosts_and_only_encrypted(
    chromium: Chromium, site: Site, kind: str
) -> None:
    async with (
        listening("127.0.0.1") as (port, came),
        BrowserPool(chromium.settings(), [HERE]) as pool,
        pool.lease() as lease,
    ):
        await lease.page.goto(site.address())
        allowed = site.address("/allowed")
        addresses = [f"https://{ELSEWHERE}:{port}/", f"http://{HERE}:{port}/", f"http://{ELSEWHERE}:{port}/"]
        found = await lease.page.evaluate(FROM_A_WORKER, [kind, [*addresses, allowed]])
        assert found == [None, None, None, allowed]
        assert came == []


async def test_pages_and_their_frames_have_no_peer_connections(chromium: Chromium, site: Site) -> None:
    async with BrowserPool(chromium.settings(), [HERE]) as pool, pool.lease() as lease:
        await lease.page.goto(site.address())
        assert await lease.page.evaluate(PEERS) == ["undefined"] * 6


async def test_hints_beacons_and_event_streams_reach_nobody_else(chromium: Chromium, site: Site) -> None:
    async with (
        listening("127.0.0.1") as (port, came),
        BrowserPool(chromium.settings(), [HERE]) as pool,
        pool.lease() as lease,
    ):
        await lease.page.goto(site.address())
        assert await lease.page.evaluate(HINTS, f"https://{ELSEWHERE}:{port}/") == "refused"
        assert came == []


async def test_sockets_reach_the_hosts(chromium: Chromium, site: Site) -> None:
    """The border is no wall: what Composer's own hosts offer can be used."""
    socket = "a => new Promise(done => { new WebSocket(a).onclose = e => done(e.code); })"
    async with BrowserPool(chromium.settings(), [HERE]) as pool, pool.lease() as lease:
        await lease.page.goto(site.address())
        await lease.page.evaluate(socket, site.address("/socket").replace("https", "wss"))
    assert f"{HERE}/socket" in site.seen


# --- what is left behind ------------------------------------------------------------------------------

#: A worker that leases a page, says so, and waits to be killed.
WORKER = """
import asyncio, sys
from pathlib import Path
from composer_mcp.browser.pool import BrowserPool
from composer_mcp.browser.settings import BrowserSettings

async def main() -> None:
    settings = BrowserSettings(executable=Path(sys.argv[1]), temporary_directory=Path(sys.argv[2]))
    async with BrowserPool(settings) as pool, pool.lease() as lease:
        (lease.folder / "draft").write_text("half done")
        print(lease.folder, file=sys.stderr, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def pools(chromium: Chromium) -> list[Path]:
    """The folders of pools, of living and of dead ones."""
    return list(chromium.folder.glob("composer-browser-*"))


async def until(condition: Callable[[], bool]) -> None:
    await eventually(condition, PATIENCE_SECONDS)


async def test_what_a_killed_worker_left_is_gone_when_the_next_one_works(chromium: Chromium) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WORKER), str(chromium.executable), str(chromium.folder)]
    async with await anyio.open_process(command, stdout=subprocess.DEVNULL) as worker:
        assert worker.stderr is not None
        with anyio.fail_after(PATIENCE_SECONDS):
            left = anyio.Path((await worker.stderr.receive()).decode().strip())
        assert await (left / "draft").exists()
        worker.kill()
        await worker.wait()
    # Its browser ends by itself, because nobody speaks to it any more.
    await until(lambda: not chromium.processes())
    assert await left.exists()
    async with BrowserPool(chromium.settings()):
        assert not await left.parent.exists() and len(pools(chromium)) == 1
    assert pools(chromium) == []


async def test_what_a_living_worker_uses_is_left_alone(chromium: Chromium, site: Site) -> None:
    async with BrowserPool(chromium.settings(), [HERE]) as pool, pool.lease() as lease:
        (lease.folder / "draft").write_text("in use")
        async with BrowserPool(chromium.settings(), [HERE]):
            assert (lease.folder / "draft").exists() and len(pools(chromium)) == 2
        await lease.page.goto(site.address())
    assert pools(chromium) == []


async def test_each_job_has_a_folder_of_its_own_that_goes_with_it_whatever_happens(
    chromium: Chromium, site: Site
) -> None:
    async with BrowserPool(chromium.settings(), [HERE]) as pool:
        folders = []
        for way in ("well", "badly", "killed", "well"):
            try:
                async with pool.lease() as lease:
                    folders.append(lease.folder)
                    (lease.folder / "draft").write_text(way)
                    if way == "killed":
                        os.kill(chromium.processes()[0], signal.SIGKILL)
                    if way != "well":
                        raise RuntimeError(way)
            except RuntimeError:
                continue
        assert len(set(folders)) == 4
        await until(lambda: pool.is_ahead and not [each for each in folders if each.exists()])
        (home,) = pools(chromium)
        # What the browser that was killed had there has gone with it.
        profiles = [each for each in home.iterdir() if each.name.startswith("playwright")]
        assert len([each for each in home.iterdir() if each.name.startswith("job-")]) == 1
        assert len([each for each in profiles if "profile" in each.name]) == 1
