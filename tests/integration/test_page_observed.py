"""What a page reports in the browser carries the ids of the job that has it, and no secret."""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from collections.abc import Iterator

import anyio
import pytest
import structlog

from composer_mcp.browser.pool import BrowserPool
from composer_mcp.observability import logs, metrics
from composer_mcp.observability.masking import hide
from composer_mcp.settings import LogSettings

from .composer_fixtures import Chromium
from .support.site import ELSEWHERE, HERE, Site

pytestmark = pytest.mark.anyio
SECRET = "canary-in-a-page-4711"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(LogSettings())
    yield stream
    logging.getLogger().handlers[:] = []
    structlog.reset_defaults()


def lines(stream: io.StringIO, event: str) -> list[dict[str, str]]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in found if line["event"] == event]


async def until(stream: io.StringIO, event: str, count: int) -> list[dict[str, str]]:
    deadline = time.monotonic() + 30
    while len(lines(stream, event)) < count:
        assert time.monotonic() < deadline, stream.getvalue()
        await anyio.sleep(0.05)
    return lines(stream, event)


async def test_console_and_network_lines_belong_to_the_job_that_has_the_page(
    chromium: Chromium, site: Site, written: io.StringIO
) -> None:
    hide(SECRET)
    used = metrics.BROWSER_CONTEXTS.collect()[0].samples[0].value

    async def job(number: int) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(correlation_id=f"page-call-{number}", job_id=f"job-{number}")
        async with pool.lease([HERE]) as lease:
            assert metrics.BROWSER_CONTEXTS.collect()[0].samples[0].value > used
            await lease.page.goto(site.address())
            await lease.page.evaluate(
                "([secret, other]) => { console.error('broken ' + secret); new Image().src = other; }",
                [f"{SECRET} {number}", site.address("/x", ELSEWHERE)],
            )
            await until(written, "browser.console_error", 1)
            await anyio.sleep(0.5)
            # A page that is broken in an endless way fills no log.
            await lease.page.evaluate("() => { for (let i = 0; i < 500; i++) console.error('again'); }")
            await anyio.sleep(0.5)

    async with BrowserPool(chromium.settings(), [HERE]) as pool, anyio.create_task_group() as group:
        for number in (1, 2):
            group.start_soon(job, number)
    console = lines(written, "browser.console_error")
    for number in (1, 2):
        (line,) = [line for line in console if line["text"].endswith(f" {number}")]
        assert (line["correlation_id"], line["job_id"]) == (f"page-call-{number}", f"job-{number}")
        assert len([each for each in console if each["correlation_id"] == f"page-call-{number}"]) <= 50
        refused = [
            line
            for line in lines(written, "browser.network_error")
            if line["correlation_id"] == f"page-call-{number}"
        ]
        assert any("blocked" in line["text"] and "/x" in line["text"] for line in refused)
    assert SECRET not in written.getvalue()
    assert metrics.BROWSER_CONTEXTS.collect()[0].samples[0].value == used
