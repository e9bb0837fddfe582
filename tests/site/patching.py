"""What the tests of patching share: the playbook as an operator starts it, and callers meanwhile."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx2
from mcp.shared.exceptions import MCPError
from site_lab import Site, lesson, said

from lab import site as ansible
from lab.machine import PROJECT

AT_ONCE = 4
COMPOSER_SECONDS = 0.5
PLAY_SECONDS = 1200
STARTED = "cut -d' ' -f22 /proc/1/stat"


def patch(site: Site, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """The playbook, as an operator starts it; its output goes to the log too."""
    return play(site, "playbooks/patch.yml", *words, **variables)


def play(site: Site, playbook: str, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Any playbook."""
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            *(playbook, "-i", "inventories/lab", "-e", json.dumps(variables), *words),
        ],
        cwd=PROJECT,
        env=ansible.environment(site.lab),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PLAY_SECONDS,
        check=False,
    )
    print(done.stdout, done.stderr)
    return done


def told(done: subprocess.CompletedProcess[str]) -> str:
    """What it said, without the line breaks of its layout."""
    return " ".join((done.stdout + done.stderr).split())


class Load:
    """Callers who go on until they are told to stop; each call is made once."""

    def __init__(self, site: Site, bearer: str, url: str = "") -> None:
        self.site, self.bearer, self.url = site, bearer, url
        self.mark = f"patched-{uuid.uuid4().hex[:8]}"
        self.failures: list[str] = []
        self.made = 0
        self.enough = False
        self.began = time.time()

    def what_failed(self) -> str:
        """In one line, because a summary shows no more: what callers got, then what the hosts say of it."""
        return " | ".join([*self.failures[:5], *self.site.crashes(self.began)[-5:]]).replace("\n", " ")

    async def _caller(self, caller: int) -> None:
        async with self.site.client(self.bearer, self.url) as client:
            number = 0
            while not self.enough:
                number += 1
                title = f"{self.mark} {caller}-{number}"
                arguments = {"lesson": lesson(title), "idempotency_key": title.replace(" ", "-")}
                began = time.strftime("%H:%M:%S")
                try:
                    result = await client.call_tool("create_composition", arguments, read_timeout_seconds=150)
                    if result.is_error:
                        self.failures.append(f"{began} {title}: {said(result)}")
                except (OSError, MCPError, httpx2.HTTPError, TimeoutError) as error:
                    self.failures.append(f"{began} {title}: {type(error).__name__}: {error}")
                self.made += 1

    async def during(self, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Patch while the callers call."""
        async with asyncio.TaskGroup() as group:
            for caller in range(AT_ONCE):
                group.create_task(self._caller(caller))
            try:
                return await asyncio.to_thread(patch, self.site, *words, **variables)
            finally:
                self.enough = True
