"""Pages of the third party that misbehave: the editor's page runs a script of ours besides its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from .stage import EDITOR_SECONDS, Stage

SECONDS = 10.0
#: Of the page's own script; ours goes before it.
FIRST_STATEMENT = 'const root = document.querySelector("#root");'
HANG = "setTimeout(() => { for (;;) {} }, 50);"
ALLOCATE = "const kept = []; setInterval(() => kept.push(new Uint8Array(32e6).fill(1)), 5);"
WINDOWS = "setInterval(() => window.open('/?' + Math.random()), 20);"
DOWNLOADS = """
setInterval(() => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([new Uint8Array(1e6)]));
  link.download = 'file.bin';
  link.click();
}, 50);
"""


@contextlib.asynccontextmanager
async def _page_that_runs(stage: Stage, script: str) -> AsyncIterator[None]:
    stage.standin.options(texts={FIRST_STATEMENT: f"{script}\n{FIRST_STATEMENT}"})
    try:
        yield
    finally:
        stage.standin.options(texts={})


async def _for_a_while(stage: Stage, script: str) -> str:
    async with _page_that_runs(stage, script):
        await asyncio.sleep(SECONDS)
    return f"{SECONDS:.0f} s"


async def hangs(stage: Stage) -> str:
    """The page never gives the processor back."""
    lasted = await _for_a_while(stage, HANG)
    return f"{lasted}; a page that does not answer is waited for {EDITOR_SECONDS} s, as a slow one is"


async def allocates(stage: Stage) -> str:
    """The page takes 32 MB again and again and keeps all of it."""
    return await _for_a_while(stage, ALLOCATE)


async def opens_windows(stage: Stage) -> str:
    """The page opens fifty windows a second."""
    return await _for_a_while(stage, WINDOWS)


async def downloads(stage: Stage) -> str:
    """The page offers twenty files a second."""
    return await _for_a_while(stage, DOWNLOADS)
