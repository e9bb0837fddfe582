"""python -m benchmarks.browser: memory of Debian's Chromium, idle and for each context with an open page.

The whole bench (``make bench ONLY=browser``) also does the steps of a preview on the stand-in of Composer:
log in, open a lesson, take a picture, of the window and then of the whole page. Our worker with its warm pool
does them through its own code, reading of the document and keeping of the picture included; a fresh browser
for each call does them as the library's manual shows it; and Playwright MCP does them with its tools, in a
browser that stays. Memory under load is sampled while so many jobs are under way all the time.

Counted is the proportional set size (PSS) of Chromium's whole process tree: shared pages are divided among
their users, so that the sum is what the machine loses. Chromium refuses to run its sandbox as root, and we do
not switch it off; root measures as the user `nobody`.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.async_api import async_playwright

from benchmarks import browser_jobs
from benchmarks.measure import Report, Row
from benchmarks.processes import descendants, pss_mib

# The whole browser, and the smaller build without a window that Debian packages beside it.
BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-headless-shell")
CONTEXTS = (1, 2, 4, 8)
# A page of the weight of a lesson: a few hundred elements, some pictures, a live document tree.
PAGE = """<!doctype html><meta charset=utf-8><title>lesson</title><body><script>
for (let i = 0; i < 300; i++) {
  const part = document.createElement('section');
  part.innerHTML = `<h2>Part ${i}</h2><p>${'The water goes round and round. '.repeat(20)}</p>
    <svg width=200 height=80><circle cx=40 cy=40 r=${i % 40} fill="teal"/></svg>`;
  document.body.append(part);
}
</script>"""


def chromium_of(parent: int) -> list[int]:
    """The Chromium processes under a process, without the driver that controls them."""
    return [process for process in descendants(parent) if b"chrom" in _program(process)]


def _program(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0", 1)[0]
    except (FileNotFoundError, ProcessLookupError):
        return b""


def stage(name: str, milliseconds: float) -> None:
    """Tell the parent that a stage is reached, and wait until it has looked."""
    print(json.dumps([name, milliseconds]), flush=True)
    sys.stdin.readline()


async def stages(executable: str) -> None:
    """Start the browser, then open more and more contexts, each with the page."""
    async with async_playwright() as playwright:
        start = time.monotonic()
        browser = await playwright.chromium.launch(executable_path=executable, chromium_sandbox=True)
        stage("idle", (time.monotonic() - start) * 1000)
        opened = 0
        for wanted in CONTEXTS:
            start = time.monotonic()
            for _ in range(wanted - opened):
                context = await browser.new_context(viewport={"width": 1280, "height": 800})
                page = await context.new_page()
                await page.set_content(PAGE)
                await page.screenshot()
            each = (time.monotonic() - start) * 1000 / (wanted - opened)
            opened = wanted
            stage(f"{wanted} contexts", each)
        await browser.close()


def become_ordinary_user(home: str) -> None:
    """Give up root's rights for good."""
    if os.geteuid() == 0:
        # The interpreter itself may lie in root's home, so we change our user instead of starting anew.
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
    os.environ.update(HOME=home, TMPDIR=home)
    os.chdir(home)


def report(executable: str) -> list[tuple[str, float, float]]:
    """For each stage its name, MiB in use, and milliseconds for the start or for each further context."""
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="composer-bench-") as home,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.browser", executable, home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        ) as child,
    ):
        for line in child.stdout or ():
            name, milliseconds = json.loads(line)
            rows.append((name, pss_mib(chromium_of(child.pid)), milliseconds))
            child.stdin.write("\n") if child.stdin else None
    return rows


async def run() -> Report:
    """Measure each Chromium that is installed."""
    found = Report("browser", "Browsers", (__doc__ or "").split("\n\n", 1)[1].strip())
    for executable in BROWSERS:
        if not await asyncio.to_thread(Path(executable).exists):
            found.remarks.append(f"{executable} is not installed here.")
            continue
        for name, mebibytes, milliseconds in await asyncio.to_thread(report, executable):
            figures = {"MiB": mebibytes, "ms to start" if name == "idle" else "ms each": milliseconds}
            found.rows.append(Row(Path(executable).name, name, figures))
    await browser_jobs.run(found)
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        become_ordinary_user(sys.argv[2])
        asyncio.run(stages(sys.argv[1]))
    else:
        for browser in BROWSERS:
            print(browser)
            for name, mebibytes, milliseconds in report(browser):
                print(f"  {name:<12} {mebibytes:8.1f} MiB {milliseconds:8.0f} ms")
