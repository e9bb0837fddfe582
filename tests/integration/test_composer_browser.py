"""The browser pool: fresh contexts, no way out but to the allowed hosts, a new browser when one is gone."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from uuid import uuid4

import anyio
import pytest
from playwright.async_api import Error as PlaywrightError

from composer_mcp.browser.pool import BrowserPool
from composer_mcp.composition.lesson import Lesson
from composer_mcp.errors import ComposerError
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import CompositionSaved, CreateComposition, Preview, PreviewComposition

from .composer_fixtures import Bench, Chromium, driver_process
from .support.processes import await_stop
from .support.site import ELSEWHERE, HERE, Site
from .support.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "way", ["address", "redirect", "picture", "script", "socket", "frame", "plain http", "popup"]
)
async def test_a_page_reaches_no_other_host(chromium: Chromium, site: Site, way: str) -> None:
    other = site.address("/secret", ELSEWHERE)
    async with BrowserPool(chromium.settings(), [HERE]) as pool, pool.lease() as lease:
        page = lease.page
        match way:
            case "address":
                with pytest.raises(PlaywrightError):
                    await page.goto(other)
            case "redirect":
                with pytest.raises(PlaywrightError):
                    await page.goto(site.address("/away"))
            case "plain http":
                with pytest.raises(PlaywrightError):
                    await page.goto(f"http://{HERE}:{site.port}/secret")
            case "popup":
                await page.goto(site.address())
                assert await page.evaluate("address => window.open(address)", other) is None
                await page.evaluate(
                    "address => { const link = document.createElement('a'); link.href = address;"
                    " link.target = '_blank'; document.body.append(link); link.click(); }",
                    other,
                )
                # A turn of the page's own loop, after which a window would have been opened.
                await page.evaluate("() => new Promise(done => setTimeout(done, 300))")
                assert page.context.pages == [page]
                assert site.seen == [f"{HERE}/"]
                return
            case "script":
                await page.goto(site.address())
                failed = await page.evaluate(
                    "a => fetch(a, {mode: 'no-cors'}).then(() => '', e => `${e}`)", other
                )
                assert "Failed to fetch" in failed
            case "socket":
                await page.goto(site.address())
                closed = "a => new Promise(done => { new WebSocket(a).onclose = e => done(e.code); })"
                assert await page.evaluate(closed, other.replace("https", "wss")) == 1006
                assert site.seen == [f"{HERE}/"]
                return
            case _:
                await page.goto(site.address())
                tag = {"picture": "img", "frame": "iframe"}[way]
                await page.evaluate(
                    "([tag, address]) => new Promise(done => { const e = document.createElement(tag);"
                    " e.onload = e.onerror = done; e.src = address; document.body.append(e); })",
                    [tag, other],
                )
    assert not [each for each in site.seen if each.endswith("/secret")]
    assert any(ELSEWHERE in text or "http:" in text or "ERR_NAME" in text for text in lease.network_errors)


async def test_every_lease_begins_with_nothing(chromium: Chromium, site: Site) -> None:
    async with BrowserPool(chromium.settings(), [HERE]) as pool:
        async with pool.lease() as first:
            await first.page.goto(site.address())
            await first.page.evaluate("localStorage.setItem('who', 'first'); document.cookie = 'who=first'")
        async with pool.lease() as second:
            await second.page.goto(site.address())
            left = await second.page.evaluate("[localStorage.getItem('who'), document.cookie]")
    assert left == [None, ""]


async def test_downloads_are_refused(chromium: Chromium, site: Site) -> None:
    async with BrowserPool(chromium.settings(), [HERE]) as pool, pool.lease() as lease:
        async with lease.page.expect_download() as started:
            with pytest.raises(PlaywrightError):
                await lease.page.goto(site.address("/file"))
        assert await (await started.value).failure() is not None
        assert "download refused" in " ".join(lease.network_errors)


async def test_the_next_lease_after_a_crash_has_a_new_browser(chromium: Chromium, site: Site) -> None:
    async with BrowserPool(chromium.settings(), [HERE]) as pool:
        with pytest.raises(PlaywrightError):
            async with pool.lease() as lease:
                (before,) = chromium.processes()
                os.kill(before, signal.SIGKILL)
                await lease.page.goto(site.address())
        async with pool.lease() as lease:
            await lease.page.goto(site.address())
            assert await lease.page.title() == "here"
        assert chromium.processes() != [before]


async def test_the_next_lease_after_the_death_of_the_driver_has_a_new_browser(
    chromium: Chromium, site: Site
) -> None:
    async with BrowserPool(chromium.settings(), [HERE]) as pool:
        with pytest.raises(PlaywrightError):
            async with pool.lease() as lease:
                os.kill(driver_process(), signal.SIGKILL)
                await lease.page.goto(site.address())
        async with pool.lease() as lease:
            await lease.page.goto(site.address())
            assert await lease.page.title() == "here"
    assert chromium.processes() == []


async def test_a_cancelled_job_gives_its_context_back(chromium: Chromium, site: Site) -> None:
    async with BrowserPool(chromium.settings(concurrency=1, warm_spare=False), [HERE]) as pool:
        with anyio.move_on_after(0.5):
            async with pool.lease() as lease:
                await lease.page.goto(site.address())
                await anyio.sleep_forever()
        async with pool.lease() as lease:
            browser = lease.page.context.browser
            assert browser is not None
            assert browser.contexts == [lease.page.context]


async def test_a_preview_survives_the_death_of_its_browser(bench: Bench, chromium: Chromium) -> None:
    lesson = Lesson.model_validate({"title": f"Aula {uuid4()}", "elements": [{"type": "text", "text": "Oi"}]})
    async with bench.work() as work:
        saved = await handlers.run(CreateComposition(lesson=lesson), work)
        assert isinstance(saved, CompositionSaved)
        killed: list[int] = []

        async def killing(fraction: float, message: str) -> None:
            await bench.story(fraction, message)
            if message.startswith("Opening") and not killed:
                killed.extend(chromium.processes())
                os.kill(killed[0], signal.SIGKILL)

        object.__setattr__(work, "progress", killing)
        preview = await handlers.run(PreviewComposition(uid=saved.uid), work)
    assert isinstance(preview, Preview) and preview.composition_loaded
    assert "The browser or its connection failed; trying again" in bench.story


async def test_a_worn_browser_is_replaced_without_refusing_or_disturbing_anybody(
    chromium: Chromium, site: Site
) -> None:
    settings = chromium.settings(recycle_after_leases=2, concurrency=4)
    served = []

    async def use(pool: BrowserPool) -> None:
        async with pool.lease() as lease:
            await lease.page.goto(site.address())
            served.append(await lease.page.title())

    async with BrowserPool(settings, [HERE]) as pool:
        async with pool.lease() as long:
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(use, pool)
            # Its browser was retired long ago, and lives until this lease ends.
            await long.page.goto(site.address())
        assert pool.is_healthy
    assert served == ["here"] * 8
    assert chromium.processes() == []


async def test_a_worn_browser_goes_on_when_no_new_one_starts(
    chromium: Chromium, site: Site, tmp_path: Path
) -> None:
    changing = tmp_path / "chromium"
    changing.symlink_to(chromium.executable)
    settings = chromium.settings(executable=changing, recycle_after_leases=1)
    async with BrowserPool(settings, [HERE]) as pool:
        async with pool.lease():
            changing.unlink()
        async with pool.lease() as lease:
            await lease.page.goto(site.address())
            assert await lease.page.title() == "here"


async def test_a_browser_that_hangs_is_replaced(chromium: Chromium, site: Site) -> None:
    async with BrowserPool(chromium.settings(launch_timeout_seconds=3), [HERE]) as pool:
        (stuck,) = chromium.processes()
        os.kill(stuck, signal.SIGSTOP)
        await anyio.to_thread.run_sync(await_stop, stuck)
        async with pool.lease() as lease:
            await lease.page.goto(site.address())
            assert await lease.page.title() == "here"
    assert chromium.processes() == []


async def test_no_more_contexts_than_configured(chromium: Chromium) -> None:
    settings = chromium.settings(concurrency=1, lease_wait_seconds=0.2)
    async with BrowserPool(settings) as pool, pool.lease():
        with pytest.raises(ComposerError) as raised:
            async with pool.lease():
                pass
    assert "all 1 contexts were in use" in raised.value.sentence


async def test_a_browser_that_does_not_start_is_reported(chromium: Chromium, tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho no display >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(ComposerError) as raised:
        async with BrowserPool(chromium.settings(executable=broken)):
            pass
    assert raised.value.code.code == "browser_unavailable"
    assert "does not start" in raised.value.sentence


async def test_nothing_is_left_behind(chromium: Chromium, site: Site) -> None:
    async with BrowserPool(chromium.settings(), [HERE]) as pool, pool.lease() as lease:
        await lease.page.goto(site.address())
        assert list(chromium.folder.glob("composer-browser-*"))
    assert not list(chromium.folder.glob("composer-browser-*"))
    assert chromium.processes() == []


async def test_the_sandbox_is_on(chromium: Chromium, site: Site) -> None:
    async with BrowserPool(chromium.settings(), [HERE]) as pool, pool.lease() as lease:
        await lease.page.goto(site.address())
        assert chromium.is_confined()


async def test_a_lazy_pool_has_a_browser_only_while_it_is_used(chromium: Chromium) -> None:
    async with BrowserPool(chromium.settings(idle_seconds=0.3), lazy=True) as pool:
        assert chromium.processes() == []
        for _ in range(2):
            async with pool.lease() as lease:
                with anyio.fail_after(10):
                    # In use, it stays, however long that takes.
                    await anyio.sleep(0.7)
                    assert await lease.page.title() == ""
                assert len(chromium.processes()) == 1
            await eventually(lambda: not chromium.processes(), 10)
    assert chromium.processes() == []
