"""What pages and browsers do to us: noticed, counted, and survived by the next job and by the neighbours.

Browsers and renderers are real and are really killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Error as PlaywrightError
from prometheus_client import REGISTRY

from composer_mcp.browser import running
from composer_mcp.browser.lease import Lease
from composer_mcp.browser.pool import BrowserPool
from composer_mcp.errors import ComposerError

from .composer_fixtures import Chromium
from .support.site import HERE, Site

pytestmark = pytest.mark.anyio
PATIENCE_SECONDS = 60
#: Allocates ten MiB at a time, without end.
GLUTTON = """() => { globalThis.kept = [];
    setInterval(() => kept.push(new Uint8Array(10 * 1024 * 1024).fill(1)), 5); }"""
FOREVER = "() => { setTimeout(() => { for (;;); }, 0); }"


@pytest.fixture
def counted() -> Iterator[Callable[..., float]]:
    """How much a figure has grown since the test began."""
    before: dict[str, float] = {}

    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    for metric in REGISTRY.collect():
        for sample in metric.samples:
            before[f"{sample.name}{sorted(sample.labels.items())}"] = sample.value

    def grown(name: str, **labels: str) -> float:
        return value(name, **labels) - before.get(f"{name}{sorted(labels.items())}", 0.0)

    yield grown


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE_SECONDS):
        while not await anyio.to_thread.run_sync(condition):
            await anyio.lowlevel.checkpoint()


async def works(pool: BrowserPool, site: Site) -> None:
    async with pool.lease() as lease:
        await lease.page.goto(site.address())
        assert await lease.page.title() == "here"


def files_below(folder: Path) -> Iterator[Path]:
    """What a page has downloaded, whole or in part."""
    for suffix in (".bin", ".crdownload"):
        yield from folder.rglob(f"*{suffix}")


async def wait_on(lease: Lease) -> None:
    """Wait for what never comes, as a job does that waits for Composer."""
    await lease.page.wait_for_function("() => false", timeout=PATIENCE_SECONDS * 1000)


# --- pages -------------------------------------------------------------------------------------------


async def test_a_killed_renderer_ends_its_own_job_at_once_and_no_other(
    chromium: Chromium, site: Site, counted: Callable[..., float]
) -> None:
    async with BrowserPool(chromium.settings(warm_spare=False), [HERE]) as pool, pool.lease() as neighbour:
        await neighbour.page.goto(site.address())
        others = chromium.renderers()
        async with pool.lease() as lease:
            await lease.page.goto(site.address())
            (own, *_) = chromium.renderers() - others
            with anyio.fail_after(10), pytest.raises(PlaywrightError):
                # From another thread, while the job waits for what never comes.
                await asyncio.gather(wait_on(lease), asyncio.to_thread(os.kill, own, signal.SIGKILL))
            assert lease.trouble == "its page crashed"
        assert await neighbour.page.title() == "here"
        await works(pool, site)
    assert counted("composer_browser_failures_total", kind="page_crashed") == 1
    assert counted("composer_browser_launches_total", outcome="started") == 1


async def test_a_page_that_hangs_is_known_and_gives_its_place_back(
    chromium: Chromium, site: Site, counted: Callable[..., float]
) -> None:
    async with BrowserPool(chromium.settings(concurrency=1), [HERE]) as pool:
        async with pool.lease() as lease:
            await lease.page.goto(site.address())
            await lease.page.evaluate(FOREVER)
            assert not await lease.is_alive(1)
            assert lease.trouble == "its page does not respond"
        await works(pool, site)
        await until(lambda: not lease.folder.exists())
    assert counted("composer_browser_failures_total", kind="page_hung") == 1


async def test_a_page_that_allocates_without_end_is_stopped_and_its_neighbour_goes_on(
    chromium: Chromium, site: Site, counted: Callable[..., float]
) -> None:
    settings = chromium.settings(page_limit_mib=400, watch_seconds=0.1)
    async with BrowserPool(settings, [HERE]) as pool, pool.lease() as neighbour:
        await neighbour.page.goto(site.address())
        async with pool.lease() as lease:
            await lease.page.goto(site.address())
            await lease.page.evaluate(GLUTTON)
            with anyio.fail_after(PATIENCE_SECONDS), pytest.raises(PlaywrightError):
                await wait_on(lease)
            assert lease.trouble is not None and "more memory than it may" in lease.trouble
        assert await neighbour.page.title() == "here"
        await works(pool, site)
    assert counted("composer_browser_failures_total", kind="page_too_large") == 1
    assert counted("composer_browser_launches_total", outcome="started") == 1


async def test_a_page_that_opens_windows_without_end_opens_none(
    chromium: Chromium, site: Site, counted: Callable[..., float]
) -> None:
    async with BrowserPool(chromium.settings(warm_spare=False), [HERE]) as pool, pool.lease() as lease:
        await lease.page.goto(site.address())
        opened = "a => Array.from({length: 200}, () => window.open(a)).filter(Boolean).length"
        assert await lease.page.evaluate(opened, site.address()) == 0
        assert lease.page.context.pages == [lease.page]
        assert f"window refused: {site.address()}" in lease.network_errors
        assert await lease.is_alive()
    assert counted("composer_browser_refusals_total", what="window") == 200


async def test_a_page_that_downloads_without_end_leaves_no_file(
    chromium: Chromium, site: Site, counted: Callable[..., float]
) -> None:
    async with BrowserPool(chromium.settings(), [HERE]) as pool, pool.lease() as lease:
        await lease.page.goto(site.address())
        async with lease.page.expect_download():
            await lease.page.evaluate(
                "async a => { for (let i = 0; i < 20; i++) { const link = document.createElement('a');"
                " link.href = a; link.download = `${i}`; document.body.append(link); link.click();"
                " await new Promise(done => setTimeout(done, 20)); } }",
                site.address("/file"),
            )
        assert await lease.page.title() == "here"
        files = [
            each for each in lease.folder.parent.rglob("*") if each.name.endswith((".bin", ".crdownload"))
        ]
        assert files == [] and list(lease.folder.iterdir()) == []
    assert counted("composer_browser_refusals_total", what="download") >= 1


# --- browsers ----------------------------------------------------------------------------------------


async def test_a_browser_that_is_lost_while_nobody_uses_it_is_replaced_before_the_next_job(
    chromium: Chromium, site: Site, counted: Callable[..., float]
) -> None:
    async with BrowserPool(chromium.settings(), [HERE]) as pool:
        (before,) = chromium.processes()
        os.kill(before, signal.SIGKILL)
        await until(lambda: pool.is_healthy and chromium.processes() not in ([], [before]))
        await works(pool, site)
    assert counted("composer_browser_failures_total", kind="browser_lost") == 1
    assert counted("composer_browser_recycles_total", reason="lost") == 1
    assert chromium.processes() == []


async def test_a_browser_lost_in_the_middle_of_many_jobs_costs_only_these(
    chromium: Chromium, site: Site
) -> None:
    lost, done = [], []

    async def job(pool: BrowserPool, kill: bool) -> None:
        try:
            async with pool.lease() as lease:
                await lease.page.goto(site.address())
                if kill:
                    os.kill(chromium.processes()[0], signal.SIGKILL)
                    # The browser may still answer one question before the signal reaches it.
                    async with asyncio.timeout(30):
                        await lease.page.evaluate("new Promise(() => {})")
                done.append(await lease.page.title())
        except (PlaywrightError, ComposerError) as error:
            lost.append(error)

    async with BrowserPool(chromium.settings(concurrency=2), [HERE]) as pool:
        await asyncio.gather(*(job(pool, number == 3) for number in range(12)))
    # Two were in it; a third may have got a page of it at that moment.
    assert 1 <= len(lost) <= 3 and len(lost) + len(done) == 12
    assert not [each for each in lost if isinstance(each, ComposerError)]


async def test_a_failed_start_fails_the_job_that_needs_it_and_the_next_one_works(
    chromium: Chromium, site: Site, tmp_path: Path, counted: Callable[..., float]
) -> None:
    changing = tmp_path / "chromium"
    changing.symlink_to(chromium.executable)
    async with BrowserPool(chromium.settings(executable=changing), [HERE]) as pool:
        (before,) = chromium.processes()
        changing.unlink()
        os.kill(before, signal.SIGKILL)
        with pytest.raises(ComposerError) as raised:
            await until(lambda: not pool.is_healthy)
            await works(pool, site)
        assert raised.value.code.code == "browser_unavailable" and raised.value.code.retryable
        changing.symlink_to(chromium.executable)
        await works(pool, site)
    assert counted("composer_browser_launches_total", outcome="failed") >= 2


async def test_a_browser_that_grew_large_is_replaced_while_its_job_goes_on(
    chromium: Chromium, site: Site, counted: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PROBATION_SECONDS", 2)
    settings = chromium.settings(recycle_above_mib=350, page_limit_mib=2000, watch_seconds=0.1)
    async with BrowserPool(settings, [HERE]) as pool:
        before = chromium.processes()
        async with pool.lease() as lease:
            await lease.page.goto(site.address())
            await lease.page.evaluate(
                "() => { globalThis.kept = new Uint8Array(400 * 1024 * 1024).fill(1); }"
            )
            # Both at once: the new one stands before the old one goes.
            await until(lambda: len(chromium.processes()) == 2)
            await works(pool, site)
            assert await lease.page.evaluate("kept.length") == 400 << 20
        await until(lambda: len(chromium.processes()) == 1 and chromium.processes() != before)
    assert counted("composer_browser_recycles_total", reason="memory") >= 1
    assert counted("composer_browser_failures_total", kind="browser_lost") == 0


# --- the page ahead ----------------------------------------------------------------------------------


async def test_a_page_stands_ready_for_each_job_and_is_used_once(
    chromium: Chromium, site: Site, counted: Callable[..., float]
) -> None:
    seen = []
    async with BrowserPool(chromium.settings(), [HERE], visit=site.address("/ahead")) as pool:
        for number in range(4):
            await until(lambda: pool.is_ahead)
            assert len(site.seen) == number + 1
            async with pool.lease() as lease:
                assert lease.page.url == site.address("/ahead")
                assert await lease.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
                await lease.page.evaluate("localStorage.setItem('who', 'me'); document.cookie = 'who=me'")
                browser = lease.page.context.browser
                assert browser is not None and len(browser.contexts) <= 2
                seen.append(lease)
    assert len({id(lease.page) for lease in seen}) == 4
    assert counted("composer_browser_spares_total", spare="taken") == 4


async def test_a_page_ahead_that_crashed_is_not_given_to_anybody(chromium: Chromium, site: Site) -> None:
    async with BrowserPool(chromium.settings(), [HERE], visit=site.address("/ahead")) as pool:
        await until(lambda: pool.is_ahead)
        for renderer in chromium.renderers():
            os.kill(renderer, signal.SIGKILL)
        await works(pool, site)


async def test_a_site_that_is_away_keeps_no_page_from_being_ready(chromium: Chromium, site: Site) -> None:
    address = site.address("/ahead")
    site.stop()
    async with BrowserPool(chromium.settings(), [HERE], visit=address) as pool:
        await until(lambda: pool.is_ahead)
        async with pool.lease() as lease:
            assert lease.network_errors == [] and lease.page.url == "about:blank"
