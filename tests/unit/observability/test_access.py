"""Every answer carries a correlation id, and none is given in plain text where encryption is required."""

from __future__ import annotations

import json
import logging

import httpx
import pytest
import structlog
from prometheus_client import Histogram
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from composer_mcp.observability import logs, metrics
from composer_mcp.observability.access import AccessLog, correlation_id, is_stream
from composer_mcp.settings import LogSettings

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def answer(_request: Request) -> PlainTextResponse:
    return PlainTextResponse(correlation_id.get())


def client(scheme: str = "http", *, require_tls: bool = False) -> httpx.AsyncClient:
    app = AccessLog(Starlette(routes=[Route("/mcp", answer)]), require_tls=require_tls)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"{scheme}://server")


async def test_the_edges_id_is_kept() -> None:
    got = await client().get("/mcp", headers={"X-Correlation-Id": "edge-12345"})
    assert got.text == got.headers["X-Correlation-Id"] == "edge-12345"


@pytest.mark.parametrize(
    "given",
    ["short", "x" * 129, "with space 1", 'quote"12345', "línea-12345", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln"],
)
async def test_an_id_that_could_do_harm_is_replaced(given: str) -> None:
    got = await client().get("/mcp", headers={"X-Correlation-Id": given.encode()})
    assert got.headers["X-Correlation-Id"] != given
    assert len(got.text) == 32


async def test_plain_text_is_refused_where_encryption_is_required() -> None:
    assert (await client("http", require_tls=True).get("/mcp")).status_code == 400
    assert (await client("https", require_tls=True).get("/mcp")).status_code == 200


async def test_an_endless_address_makes_a_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(level="debug"))
    try:
        await client().get("/" + "\\" * 20_000)
    finally:
        logging.getLogger().handlers[:] = []
        structlog.reset_defaults()
    line = next(line for line in capsys.readouterr().err.splitlines() if "http.request" in line)
    assert len(json.loads(line)["path"]) == 200


def counted(family: Histogram, **labels: str) -> float:
    return sum(
        sample.value
        for each in family.collect()
        for sample in each.samples
        if sample.name.endswith("_count") and sample.labels.items() >= labels.items()
    )


async def test_a_stream_that_a_client_listens_to_is_not_a_slow_request() -> None:
    async def listen(_request: Request) -> PlainTextResponse:
        is_stream()
        return PlainTextResponse("")

    routes = [Route("/mcp", listen), Route("/metrics", answer)]
    http = httpx.AsyncClient(
        transport=httpx.ASGITransport(AccessLog(Starlette(routes=routes), require_tls=False)),
        base_url="http://server",
    )
    before = counted(metrics.STREAM_SECONDS), counted(metrics.HTTP_SECONDS, path="/mcp")
    await http.get("/mcp")
    # Refused, it is an ordinary answer: there was nothing to listen to.
    await http.delete("/mcp")
    after = counted(metrics.STREAM_SECONDS), counted(metrics.HTTP_SECONDS, path="/mcp")
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


async def test_addresses_that_strangers_invent_make_no_figures_of_their_own() -> None:
    for path in ("/a", "/b", "/admin/v1/x", "/admin/v1/y"):
        await client().get(path)
    paths = {sample.labels["path"] for each in metrics.HTTP_REQUESTS.collect() for sample in each.samples}
    assert {"other", "/admin/*"} <= paths and not paths & {"/a", "/b", "/admin/v1/x"}
