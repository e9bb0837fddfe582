"""The lab that the site tests stand on, usually named `ci`: its hosts, its users, its third party."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import hvac
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client

from lab import config, platform, session, standin
from lab import site as ansible
from lab.machine import PROJECT, podman

NAME = "ci"
UP_SECONDS, PLAY_SECONDS = 1500, 1200
PATIENCE_SECONDS = 60
POLL_SECONDS = 0.1
PROBES = Path(__file__).parent / "probes"


@dataclass(frozen=True)
class Host:
    """One host of the lab, reached by ssh as operators reach it."""

    site: Site
    name: str

    def run(self, command: str, *, given: str = "", limit: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell command and return what it said, whatever its status."""
        words = platform.ssh_command(self.site.lab, self.name, [command])
        return subprocess.run(words, input=given, capture_output=True, text=True, timeout=limit, check=False)

    def ask(self, command: str, *, given: str = "", limit: float = 60) -> str:
        """Run a shell command that must succeed."""
        done = self.run(command, given=given, limit=limit)
        assert done.returncode == 0, f"{self.name}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def python(self, probe: str, *arguments: str, given: str = "", limit: float = 240) -> Any:
        """Run one of the probes with the host's own Python; it answers in JSON.

        The program goes into a file and not into the command, so that what it reads can come on its input.
        """
        path = f"/run/probe-{probe}.py"
        self.ask(f"cat > {path}", given=(PROBES / f"{probe}.py").read_text(encoding="utf-8"))
        try:
            return json.loads(self.ask(f"python3 {path} {' '.join(arguments)}", given=given, limit=limit))
        finally:
            self.ask(f"rm {path}")

    @contextmanager
    def unhindered(self) -> Iterator[None]:
        """For a while its firewall lets everything out, so that what is closed is closed at the other end."""
        self.ask("nft insert rule inet composer output accept")
        try:
            yield
        finally:
            self.ask("composer-firewall load")

    def journal(self, unit: str, lines: int = 60) -> str:
        """The end of a unit's journal, for the one who reads a failure."""
        return self.run(f"journalctl --no-pager -n {lines} -u '{unit}'").stdout

    @property
    def address(self) -> str:
        """Where other hosts reach it."""
        return self.site.lab.address(self.name)


class Site:
    """The whole platform."""

    def __init__(self) -> None:
        # A second checkout on the same machine says SITE_NAME, SITE_SUBNET and SITE_PORT.
        chosen = {word: os.environ.get(f"SITE_{word}", "") for word in ("NAME", "SUBNET", "PORT")}
        self.lab = config.from_environment(
            {"LAB_NAME": NAME} | {f"LAB_{word}": value for word, value in chosen.items() if value}
        )

    def host(self, name: str) -> Host:
        """A host by its name."""
        return Host(self, name)

    @property
    def hosts(self) -> list[Host]:
        """All of them."""
        return [self.host(name) for name in config.HOSTS]

    def command(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`python -m lab …` for this lab; its output goes to the log as it comes, and is returned."""
        process = subprocess.Popen(
            [sys.executable, "-m", "lab", *words],
            cwd=PROJECT,
            env={**os.environ, **environment, **self.lab.environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        for line in process.stdout or ():
            print(line, end="", flush=True)
            said.append(line)
        return subprocess.CompletedProcess(process.args, process.wait(timeout=UP_SECONDS), "".join(said), "")

    def play(self, playbook: str, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """A playbook, as an operator starts it; its output goes to the log too."""
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        done = subprocess.run(
            [program, playbook, "-i", "inventories/lab", "-e", json.dumps(variables), *words],
            cwd=PROJECT,
            env=ansible.environment(self.lab),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PLAY_SECONDS,
            check=False,
        )
        print(done.stdout, done.stderr)
        return done

    def token(self, user: str) -> str:
        """A token of one of the lab's users, as the secret server gives it to them."""
        password = (self.lab.state / "secrets" / f"user-{user}").read_text(encoding="utf-8").strip()
        address = f"https://{self.lab.address('core1')}:8200"
        client = hvac.Client(url=address, verify=str(self.lab.authority), timeout=15)
        client.auth.userpass.login(username=user, password=password)
        return str(
            client.secrets.identity.generate_signed_id_token(name=session.ISSUER_ROLE)["data"]["token"]
        )

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Trust in the platform's authority, and in nothing else."""
        return ssl.create_default_context(cafile=str(self.lab.authority))

    @asynccontextmanager
    async def client(self, bearer: str, url: str = "") -> AsyncIterator[Client]:
        """An MCP client at the front door, or another address; it repeats nothing by itself."""
        headers = {"Authorization": f"Bearer {bearer}"}
        async with (
            httpx2.AsyncClient(verify=self.tls, headers=headers, timeout=150, trust_env=False) as http,
            Client(streamable_http_client(url or self.lab.url, http_client=http)) as client,
        ):
            yield client

    def call(self, bearer: str, tool: str, **arguments: Any) -> types.CallToolResult:
        """One call of one tool."""

        async def once() -> types.CallToolResult:
            async with self.client(bearer) as client:
                return await client.call_tool(tool, arguments, read_timeout_seconds=150)

        return asyncio.run(once())

    def jobs(self, query: str) -> str:
        """Ask the platform's database."""
        return self.host("core1").ask(f'runuser -u postgres -- psql -d composer -tAc "{query}"')

    def crashes(self, since: float) -> list[str]:
        """What the platform's own processes logged as errors since a moment (seconds since 1970)."""
        told = []
        for name in ("app1", "app2"):
            lines = (
                self.host(name)
                .run(f"journalctl --no-pager -q -o cat -p err -S @{int(since)} -u 'composer-*'")
                .stdout
            )
            for line in lines.splitlines():
                try:
                    entry = json.loads(line)
                    # That the queue's own loop starts again while the database is away is no crash.
                    if entry.get("logger") != "pgqueuer":
                        what = entry.get("error") or str(entry.get("exception", ""))[-400:]
                        told.append(f"{name} {entry.get('event')}: {what}")
                except ValueError:
                    told.append(f"{name} {line[:200]}")
        return told

    @contextmanager
    def without(self, host: str, unit: str) -> Iterator[None]:
        """A unit of a host is stopped for a while."""
        self.host(host).ask(f"systemctl stop {unit}", limit=120)
        try:
            yield
        finally:
            self.host(host).ask(f"systemctl start {unit}", limit=120)

    @contextmanager
    def without_composer(self) -> Iterator[None]:
        """The third party is away: its machine is stopped."""
        podman("stop", "--time", "5", self.lab.standin)
        try:
            yield
        finally:
            standin.stand_up(self.lab, print)

    def composer(self, method: str, path: str, **body: Any) -> Any:
        """The stand-in's switch for tests, which no host of the platform can reach."""
        transport = httpx2.HTTPTransport(uds=str(standin.control_socket(self.lab)))
        with httpx2.Client(transport=transport, base_url="http://standin", timeout=20) as http:
            return http.request(method, path, json=body or None).raise_for_status().json()

    def compositions(self, title: str) -> Counter[str]:
        """How many compositions the third party has, by title, of those whose title begins so."""
        stored = self.composer("GET", "/compositions")
        return Counter(one["title"] for one in stored if one["title"].startswith(title))

    @contextmanager
    def composer_fault(self, **fault: Any) -> Iterator[None]:
        """Something is wrong with the third party for a while."""
        self.composer("POST", "/faults", **fault)
        try:
            yield
        finally:
            self.composer("DELETE", "/faults")

    def until_composer_holds(self, route: str) -> None:
        """Wait until a request of this kind is under way at the third party, which is slow."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.composer("GET", "/faults")["holding"].get(route):
            assert time.monotonic() < deadline, f"no request {route} reached the third party"
            Event().wait(POLL_SECONDS)

    def kill_a_worker(self, mark: str) -> str:
        """Kill, without warning, a worker that has one of the jobs whose key begins so: the newest."""
        job = self.jobs(
            f"select id from job where idempotency_key like '{mark}%' and state = 'running'"
            " order by started_at desc limit 1"
        )
        assert job, "no job is running"
        for host in (self.host("app1"), self.host("app2")):
            question = f"COMPOSER_JOB={job} COMPOSER_EVENT=job.started"
            lines = host.ask(f"journalctl --no-pager --output=json {question}").splitlines()
            units = {json.loads(line)["_SYSTEMD_UNIT"] for line in lines}
            for unit in units:
                host.ask(f"systemctl kill --signal=KILL --kill-whom=main {unit}")
                return f"{host.name} {unit}"
        raise AssertionError(f"no worker says that it has started job {job}")


def lesson(title: str) -> dict[str, Any]:
    """A small lesson with a title of its own, by which its compositions can be counted."""
    return {
        "title": title,
        "subject": "science",
        "grade": "7º ano",
        "elements": [{"type": "heading", "title": title}, {"type": "text", "text": "A água evapora."}],
    }


def said(result: types.CallToolResult) -> str:
    """Everything a result says to its reader."""
    return " ".join(part.text for part in result.content if isinstance(part, types.TextContent))
