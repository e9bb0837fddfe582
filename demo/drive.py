"""Drives the server as an assistant does: with the SDK's own client, over standard input and output."""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult

from demo.place import KEPT, PROJECT, Problem

#: Of the whole demonstration; nothing in it should take longer than a few seconds.
LIMIT_SECONDS = 90.0
PICTURE = KEPT / "preview.png"
SERVER_LOG = KEPT / "server.log"
COMMAND = PROJECT / "scripts" / "demo"
LESSON: dict[str, Any] = {
    "title": "Fotossíntese: como as plantas se alimentam",
    "author": "Ana Lima",
    "subject": "science",
    "grade": "7º ano",
    "elements": [
        {
            "type": "text",
            "text": "As plantas produzem o próprio alimento com a luz do sol, a água e o gás carbônico.",
        },
        {
            "type": "flashcards",
            "cards": [
                {"front": "Clorofila", "back": "O pigmento verde que capta a luz."},
                {"front": "Glicose", "back": "O açúcar que a planta produz."},
            ],
        },
    ],
}


class Story:
    """Tells each step, and how long it took."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._step = 0
        self._began = time.monotonic()

    def begin(self, text: str) -> None:
        """Say what is waited for."""
        self._step += 1
        self._at = time.monotonic()
        print(f"demo: {self._step}/{self._steps} {text} …", end="", flush=True)

    def end(self, text: str) -> None:
        """Say what came of it."""
        print(f" {text} ({time.monotonic() - self._at:.1f} s)", flush=True)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began


async def run() -> None:
    """Make a composition and look at it.

    Raises:
        Problem: a step failed; the message has what the server said.
    """
    story = Story(4)
    # The SDK hands on few variables, and not the one that says where temporary files go.
    where = {"TMPDIR": tempfile.gettempdir()}
    server = StdioServerParameters(command=str(COMMAND), args=["stdio"], env=where)
    with SERVER_LOG.open("w") as log, anyio.fail_after(LIMIT_SECONDS):
        story.begin("starting the stand-in for Composer and the server, and connecting over stdio")
        async with Client(stdio_client(server, errlog=log)) as client:
            tools = (await client.list_tools()).tools
            story.end(f"protocol {client.protocol_version}, {len(tools)} tools")
            story.begin("making a composition from one lesson, in one call")
            made = _good(
                await client.call_tool("create_composition", {"lesson": LESSON}), "create_composition"
            )
            story.end(f"{made['widgets']} widgets, version {made['version']}")
            story.begin("opening it in Composer's editor, in Chromium")
            answer = await client.call_tool("preview_composition", {"uid": made["uid"]})
            _good(answer, "preview_composition")
            picture = next(part.data for part in answer.content if part.type == "image")
            _keep(base64.b64decode(picture))
            story.end(f"{PICTURE.stat().st_size // 1024} KiB of picture")
            story.begin("closing")
    story.end("the server, its browser and the stand-in have ended")
    _conclude(story.seconds)


def _good(result: CallToolResult, tool: str) -> dict[str, Any]:
    content: dict[str, Any] = result.structured_content or {}
    if result.is_error:
        error = content.get("error", {})
        raise Problem(f"{tool} failed: {error.get('message')} {error.get('remedy')}")
    return content


def _keep(picture: bytes) -> None:
    PICTURE.write_bytes(picture)


def _conclude(seconds: float) -> None:
    entry = {"mcpServers": {"composer-demo": {"command": str(COMMAND), "args": ["stdio"]}}}
    print(
        f"demo: done in {seconds:.1f} s\n\n"
        f"The preview:\n  {PICTURE}\n\n"
        "To try it yourself, with the stand-in, paste this into your MCP client's configuration:\n"
        f"  {json.dumps(entry)}\n\n"
        "With an account at Composer of your own: docs/standalone.md."
    )


def told(error: BaseException) -> str | None:
    """Return the message of the first problem in a group of errors, else that of an expired limit."""
    if isinstance(error, BaseExceptionGroup):
        return next((text for each in error.exceptions if (text := told(each)) is not None), None)
    if isinstance(error, Problem):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"it was not done within {LIMIT_SECONDS:.0f} s."
    return None


def last_words(path: Path = SERVER_LOG, lines: int = 15) -> str:
    """Return the end of the server's log."""
    if not path.exists():
        return "(nothing)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) or "(nothing)"


def main() -> int:
    """Run it; return the exit code."""
    try:
        anyio.run(run)
    except Exception as error:
        message = told(error) or f"{type(error).__name__}: {error}"
        print(f"\ndemo: {message}\nThe server's last lines ({SERVER_LOG}):\n{last_words()}", file=sys.stderr)
        return 1
    return 0
