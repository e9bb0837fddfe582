"""The preview page in a real Chromium, in a frame of a host that speaks the MCP Apps protocol."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from composer_mcp.mcp import preview_app

from .composer_fixtures import Chromium
from .studio import LESSON, studio
from .support.installation import Platform, text_of

__all__ = ["studio"]
pytestmark = pytest.mark.anyio

APP_TYPE = "text/html;profile=mcp-app"
#: A host: shows the page in a frame without any right but scripts, answers it, and keeps what it says.
HOST = """<!DOCTYPE html><meta charset="utf-8"><body><script>
  window.heard = [];
  window.begin = (html, context) => {
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts';
    frame.srcdoc = html;
    frame.style = 'width: 640px; height: 600px';
    addEventListener('message', event => {
      if (event.source !== frame.contentWindow) return;
      heard.push(event.data);
      if (event.data.method === 'ui/initialize')
        tell({ id: event.data.id, result: {
          protocolVersion: '2026-01-26', hostInfo: { name: 'test', version: '1' },
          hostCapabilities: { openLinks: {} }, hostContext: context } });
      if (event.data.method === 'ui/open-link') tell({ id: event.data.id, result: {} });
    });
    window.tell = message => frame.contentWindow.postMessage({ jsonrpc: '2.0', ...message }, '*');
    document.body.append(frame);
  };
</script></body>"""


def picture(width: int, height: int) -> str:
    """Return a grey PNG in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


FACTS: dict[str, Any] = {
    "uid": "H4sIAAAA",
    "final_url": "https://composer.test/#/embed/composer/H4sIAAAA",
    "page_title": "Fotossíntese <b>",
    "load_seconds": 1.5,
    "editor_ready": True,
    "composition_loaded": True,
    "console_errors": ["<img src=x onerror=alert(1)>"],
    "network_errors": [],
}


@pytest.fixture
async def page(chromium: Chromium) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium.executable)
        opened = await browser.new_page()
        await opened.set_content(HOST)
        yield opened
        await browser.close()


async def begin(page: Page, **context: Any) -> list[str]:
    """Show the page, and return the list into which everything goes that it loads or complains of."""
    trouble: list[str] = []

    def request(url: str) -> None:
        if not url.startswith(("data:", "about:")):
            trouble.append(url)

    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda made: request(made.url))
    await page.evaluate("([html, context]) => begin(html, context)", [preview_app.page(), context])
    await page.wait_for_function("heard.some(message => message.method === 'ui/notifications/initialized')")
    return trouble


async def tell(page: Page, result: dict[str, Any]) -> None:
    message = {"method": "ui/notifications/tool-result", "params": result}
    await page.evaluate("message => tell(message)", message)


@pytest.mark.parametrize(
    ("locale", "ready", "link"),
    [
        ("pt-BR", "Aberta no editor em 1.5 s", "Abrir no Composer"),
        ("en-GB", "Opened in the editor in 1.5 s", "Open in Composer"),
    ],
)
async def test_a_person_sees_picture_title_link_and_errors(
    page: Page, locale: str, ready: str, link: str
) -> None:
    trouble = await begin(page, locale=locale, theme="dark")
    image = {"type": "image", "mimeType": "image/png", "data": picture(80, 40)}
    await tell(page, {"content": [image, {"type": "text", "text": "{}"}], "structuredContent": FACTS})
    frame = page.frames[1]
    await frame.wait_for_selector("#picture:not([hidden])")
    assert await frame.text_content("#title") == "Fotossíntese <b>"
    assert ready in (await frame.text_content("#state") or "")
    await frame.wait_for_function("document.getElementById('picture').naturalWidth === 80")
    assert "<img src=x onerror=alert(1)>" in (await frame.text_content("#problems") or "")
    assert await frame.locator("#problems img").count() == 0
    button = frame.locator("#open")
    assert link in (await button.text_content() or "")
    await button.click()
    await page.wait_for_function("heard.some(message => message.method === 'ui/open-link')")
    said = json.loads(await page.evaluate("JSON.stringify(heard)"))
    opened = next(message for message in said if message.get("method") == "ui/open-link")
    assert opened["params"] == {"url": FACTS["final_url"]}
    assert any(message.get("method") == "ui/notifications/size-changed" for message in said)
    assert trouble == []


async def test_a_person_reads_what_went_wrong(page: Page) -> None:
    await begin(page, locale="pt-BR")
    error = {"error": {"message": "O Composer não respondeu."}}
    await tell(page, {"content": [], "structuredContent": error, "isError": True})
    frame = page.frames[1]
    await frame.wait_for_function("document.getElementById('state').className === 'bad'")
    assert await frame.text_content("#state") == "O Composer não respondeu."


async def test_a_link_that_is_none_of_https_is_not_offered(page: Page) -> None:
    await begin(page, locale="en")
    await tell(page, {"content": [], "structuredContent": FACTS | {"final_url": "javascript:alert(1)"}})
    frame = page.frames[1]
    await frame.wait_for_function("document.getElementById('title').textContent !== ''")
    assert await frame.locator("#open").is_hidden()


async def test_a_host_finds_the_page_and_the_picture(studio: Platform) -> None:
    async with studio.client() as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        uri = tools["preview_composition"].meta["ui"]["resourceUri"]
        (content,) = (await client.read_resource(uri)).contents
        assert content.mime_type == APP_TYPE and content.text == preview_app.page()
        assert content.meta["ui"]["prefersBorder"] is True
        made = await client.call_tool("create_composition", {"lesson": LESSON | {"title": "Para ver"}})
        preview = await client.call_tool("preview_composition", {"uid": made.structured_content["uid"]})
        assert not preview.is_error, text_of(preview)
        assert [part.type for part in preview.content] == ["image", "text"]
