"""What the tests of patching share: the playbook as an operator starts it, and callers meanwhile."""

from __future__ import annotations

import asyncio
import subprocess
import time
import uuid
from typing import Any

import httpx2
from mcp.shared.exceptions import MCPError
from site_lab import Site, lesson, said

AT_ONCE = 4
COMPOSER_SECONDS = 0.5
STARTED = "cut -d' ' -f22 /proc/1/stat"


def patch(site: Site, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Every host is patched, or those that the words choose."""
    return site.play("playbooks/patch.yml", *words, **variables)


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

    def assert_nobody_noticed(self, at_least: int) -> None:
        """So many calls or more were made, and each has made one composition."""
        assert not self.failures, self.what_failed()
        counts = self.site.compositions(self.mark)
        assert {title: count for title, count in counts.items() if count != 1} == {}
        assert len(counts) == self.made > at_least
