"""``make demo`` shows what it promises, in time, and leaves nothing running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
PROJECT = Path(__file__).parents[2]
DEMO = [str(PROJECT / "scripts" / "demo")]
SECONDS = 120


def left_running(folder: Path) -> list[str]:
    """Command lines of processes that belong to a demonstration with its files in the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"{folder}/" in command or f"{PROJECT}/.cache/demo" in command:
                found.append(command)
    return found


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Demonstrations have a folder of their own for what is temporary: elsewhere may be other people's."""
    with tempfile.TemporaryDirectory(prefix="composer-test-demo-") as name:
        folder = Path(name)
        # Another user's browser must reach its files below.
        folder.chmod(0o711)
        monkeypatch.setenv("TMPDIR", name)
        yield
        give_up = time.monotonic() + 5
        while left_running(folder) and time.monotonic() < give_up:
            time.sleep(0.05)
        assert left_running(folder) == []
        assert list(folder.glob("composer-demo-*")) == []


async def test_it_makes_a_composition_in_time_and_the_line_that_it_prints_works() -> None:
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(
            DEMO, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    (picture,) = re.findall(r"^  (/\S+\.png)$", done.stdout, re.MULTILINE)
    assert (await anyio.Path(picture).read_bytes()).startswith(b"\x89PNG")
    (line,) = re.findall(r"^  (\{.*\})$", done.stdout, re.MULTILINE)
    (entry,) = json.loads(line)["mcpServers"].values()
    where = {"TMPDIR": os.environ["TMPDIR"]}
    server = StdioServerParameters(command=entry["command"], args=entry["args"], cwd="/", env=where)
    async with Client(stdio_client(server)) as client:
        found = await client.call_tool("search_compositions", {"text": "fotossintese"})
    assert not found.is_error and "Fotossíntese" in json.dumps(found.structured_content, ensure_ascii=False)


@pytest.mark.parametrize("step", ["demo: 1/4", "demo: 3/4"])
def test_it_can_be_interrupted(step: str) -> None:
    # A shell's background job would ignore the signal, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            DEMO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        assert process.stdout is not None
        said = b""
        while step.encode() not in said:
            chunk = os.read(process.stdout.fileno(), 4096)
            assert chunk, said
            said += chunk
        os.killpg(process.pid, signal.SIGINT)
        said += process.stdout.read()
        assert process.wait(30) == 130, said
    assert b"stopped; nothing is left running" in said and b"Traceback" not in said


def test_a_client_is_told_when_it_is_not_set_up(tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "demo"
    script.parent.mkdir()
    script.write_bytes(Path(DEMO[0]).read_bytes())
    done = subprocess.run(["bash", script, "stdio"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1 and done.stdout == "" and "Run: make demo" in done.stderr
