"""How the tests knock at the front door."""

from __future__ import annotations

import functools
import json
import shlex
import time
from dataclasses import dataclass
from typing import Any

TLS = "--cacert /etc/ssl/composer/authority.crt"
CLIENT = f"{TLS} --cert /etc/ssl/composer/host.crt --key /etc/ssl/composer/host.key"
FRESH_SECONDS = 120
DOOR = "https://composer.lab.test"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(part[6:]) for part in self.body.strip().split("\n\n")]


def tokens(host: Any, wanted: list[dict[str, Any]]) -> list[str]:
    """Tokens of one run of the program, good for ten minutes: it costs more to start it than to sign."""
    return _signed(host, json.dumps(wanted), int(time.monotonic() / FRESH_SECONDS))


@functools.cache
def _signed(host: Any, wanted: str, moment: int) -> list[str]:
    del moment  # with another one they are signed anew
    return str(host.check_output(f"/usr/bin/python3 /opt/around/make_token.py {shlex.quote(wanted)}")).split()


def token(host: Any, **wanted: Any) -> str:
    return tokens(host, [wanted])[0]


def get(host: Any, path: str, options: str = "") -> Answer:
    resolve = "--resolve composer.lab.test:443:127.0.0.1"
    result = host.run(f"curl -sSi --http1.1 --max-time 20 {TLS} {resolve} {options} '{DOOR}{path}' || exit 1")
    assert result.rc == 0, result.stderr
    head, _, body = result.stdout.replace("\r\n", "\n").partition("\n\n")
    lines = head.split("\n")
    pairs = (line.split(": ", 1) for line in lines[1:])
    return Answer(int(lines[0].split()[1]), {name.lower(): value for name, value in pairs}, body)


def call(host: Any, bearer: str | None, options: str = "", path: str = "/mcp") -> Answer:
    authorization = f"-H 'Authorization: Bearer {bearer}'" if bearer is not None else ""
    return get(host, path, f"{authorization} --data '{{}}' {options}")


def restart(host: Any) -> None:
    """Start the gateway anew; systemd does not count how often the tests do so."""
    host.check_output("systemctl reset-failed haproxy && systemctl restart haproxy")


def log_entry(host: Any, answer: Answer) -> dict[str, Any]:
    """What the gateway's log says of a call."""
    log = host.check_output(
        "timeout 10 bash -c 'until journalctl -u haproxy -o cat | grep "
        f"{answer.headers['x-correlation-id']}; do :; done'"
    )
    return dict(json.loads(log.splitlines()[0]))
